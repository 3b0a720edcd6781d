"""A real site is well, says so, and says what is wrong as soon as something is; a diagnosis finds out why."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from stack.site.bed import Site


def items(site: Site) -> dict[str, dict[str, Any]]:  # Any: the command's own JSON
    return {item["name"]: item for item in site.try_to("status", "--json").json["items"]}


def diagnosed(site: Site, bundle: Path, *what: str) -> dict[str, Any]:  # Any: same
    return site.try_to("diagnose", *what, f"--output={bundle}", "--json").json


def test_a_deployed_site_is_seen_from_all_sides(site: Site, serving: str) -> None:
    found = items(site)
    well = {
        *("lock", "journal", "configuration", "files", "front door", "certificate", "readiness"),
        *("certificate of the database", "migrations", "secrets"),
        *(
            f"container {service}"
            for service in ("nginx", "worker", "postgresql", "redis", "rustfs", "backup")
        ),
    }
    wrong = {name: found[name]["found"] for name in well if found[name]["level"] != "ok"}
    # another test may have killed a container an hour ago, and that rightly shows
    assert {name: said for name, said in wrong.items() if not said.startswith("restarted")} == {}
    assert serving in found["release"]["found"]
    assert found["wal archive"]["level"] != "unknown"
    assert "stand-ins" in found["images"]["found"]  # on this engine they are, and it must show


def test_what_goes_down_is_named_explained_and_well_again_when_it_is_back(
    site: Site, serving: str, tmp_path: Path
) -> None:
    assert serving
    site.compose("stop", "redis")
    try:
        status = site.try_to("status")
        assert status.code == 1
        assert status.output.startswith(f"{site.name} is not well: ")
        found = items(site)
        assert found["container redis"]["level"] == "problem"
        assert found["readiness"]["level"] == "problem"
        diagnosis = diagnosed(site, tmp_path / "evidence.tar.gz", "backend")
        assert (diagnosis["ok"], diagnosis["likely_cause"]) == (False, "Redis does not answer")
        assert "restart redis" in diagnosis["next_step"]
    finally:
        site.compose("up", "--detach", "--no-deps", "--wait", "redis")
    assert items(site)["container redis"]["level"] == "ok"


def test_an_edited_file_is_noticed(site: Site, serving: str) -> None:
    assert serving
    path = site.directory / "redis" / "redis.conf"
    before = path.read_text()
    path.write_text(before + "# by hand\n")
    try:
        assert "redis/redis.conf" in items(site)["files"]["found"]
    finally:
        path.write_text(before)


@pytest.mark.parametrize("handbook", ["backend", "database"])
def test_a_bundle_of_a_real_site_holds_every_step_and_no_secret(
    site: Site, serving: str, tmp_path: Path, handbook: str
) -> None:
    assert serving
    bundle = tmp_path / "evidence.tar.gz"
    diagnosis = diagnosed(site, bundle, handbook)
    unseen = [one["name"] for one in diagnosis["findings"] if one["level"] == "unknown"]
    assert unseen == []
    with tarfile.open(bundle) as archive:
        texts = [archive.extractfile(info).read().decode() for info in archive]  # type: ignore[union-attr]
    assert len(texts) == len(diagnosis["findings"]) + 1
    for path in (site.root / "secrets").iterdir():
        if path.is_file() and path.suffix not in {".pem", ".crt"} and path.name != "db_user":
            for line in path.read_text().splitlines():
                assert line.startswith("-----") or not any(line in text for text in texts), path.name


@pytest.mark.usefixtures("gpu_host")
def test_a_gpu_host_is_known_by_its_name_and_a_stranger_is_none(site: Site, tmp_path: Path) -> None:
    name = site.psql("SELECT name FROM machines ORDER BY created_at LIMIT 1")
    known = diagnosed(site, tmp_path / "known.tar.gz", "agent", name)
    found = {one["name"]: one for one in known["findings"]}
    assert found["machine"]["found"].startswith(f"{name}: ")
    assert found["token"]["level"] == "ok"
    assert found["open work"]["level"] == "ok"
    assert "remotegpu-agent status" in known["on_the_host"]
    stranger = diagnosed(site, tmp_path / "stranger.tar.gz", "agent", "x'; DELETE FROM machines; --")
    assert "nobody enrolled" in stranger["likely_cause"]
    assert site.psql("SELECT name FROM machines ORDER BY created_at LIMIT 1") == name


def test_images_are_all_here_and_what_was_built_here_is_pinned_by_nothing(site: Site, serving: str) -> None:
    assert serving
    images = site.do("images", "list", "--json").json["images"]
    assert {image["name"] for image in images} >= {
        "backend",
        "frontend",
        "postgresql",
        "nginx",
        "redis",
        "rustfs",
    }
    before = site.config.read_text()
    locked = site.try_to("lock", "--json")
    assert locked.code == 1
    assert {pin["result"] for pin in json.loads(locked.output)["pins"]} == {"no digest"}
    assert site.config.read_text() == before
