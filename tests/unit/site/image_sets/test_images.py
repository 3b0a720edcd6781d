"""Which images a site has, how they are pinned, and what the commands say."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remotegpu.cli.main import run
from remotegpu.cli.site.images import show
from remotegpu.site.config.annotated import to_yaml
from remotegpu.site.config.loading import parse
from remotegpu.site.config.model import S3, Components, Config, Release, Site
from remotegpu.site.config.texts import Language
from remotegpu.site.config.versions import manifest
from remotegpu.site.image_sets import inventory, pinning
from remotegpu.site.image_sets.inventory import SiteImage, Wanted
from remotegpu.site.releases import Release as Record
from remotegpu.site.verbs.images import tag_for

CONFIG = Config(site=Site(name="acme", domain="gpu.example.com"), release=Release(version="v1.0.0"))
DIGEST = "sha256:" + "a" * 64


def record(version: str) -> Record:
    return Record(
        id="r1",
        version=version,
        slot="blue",
        images={"backend": f"remotegpu-backend:{version}", "redis": manifest()["redis"].reference},
        image_ids={"backend": "sha256:" + "b" * 64, "redis": "sha256:" + "c" * 64},
        config_hash="",
        schema="",
        git_revision="",
        deployed_at=datetime(2026, 11, 24, tzinfo=UTC),
        by="",
        why="",
    )


def references(config: Config, release: Record | None) -> list[str]:
    return [image.reference for image in inventory.wanted(config, release)]


def test_a_site_has_the_images_of_its_release_and_of_its_components() -> None:
    assert set(references(CONFIG, None)) == {
        *(f"remotegpu-{program}:v1.0.0" for program in ("backend", "frontend", "postgresql")),
        *(manifest()[name].reference for name in ("nginx", "redis", "rustfs")),
    }


def test_what_serves_is_the_image_that_was_recorded_whatever_its_tag_means_now() -> None:
    found = {image.name: image for image in inventory.wanted(CONFIG, record("v1.0.0"))}
    assert (found["backend"].id, found["redis"].id) == ("sha256:" + "b" * 64, "sha256:" + "c" * 64)
    assert found["nginx"].id == ""
    assert len(inventory.wanted(CONFIG, record("v1.0.0"))) == 6


def test_the_release_that_the_file_names_is_carried_too() -> None:
    both = references(CONFIG, record("v0.9.0"))
    assert {"remotegpu-backend:v0.9.0", "remotegpu-backend:v1.0.0"} <= set(both)
    assert len(both) == len(set(both)) == 7


def test_a_site_with_a_bucket_elsewhere_needs_no_object_store() -> None:
    store = S3(endpoint="https://s3", bucket="gpu", access_key_file="/a", secret_key_file="/s")
    config = Config(
        site=CONFIG.site, release=CONFIG.release, components=Components(rustfs=False), object_store=store
    )
    assert "rustfs" not in [image.name for image in inventory.wanted(config, None)]
    assert [image.name for image in inventory.components(config)] == ["nginx", "redis"]


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("nginx:1.30.4", "nginx"),
        ("nginx@sha256:ab", "nginx"),
        ("docker.io/library/nginx:1.30.4", "nginx"),
        ("docker.io/rustfs/rustfs:1", "rustfs/rustfs"),
        ("mirror.example.com:5000/library/nginx:1.30.4@sha256:ab", "mirror.example.com:5000/library/nginx"),
    ],
)
def test_a_repository_is_a_reference_without_tag_and_digest(reference: str, repository: str) -> None:
    assert inventory.repository_of(reference) == repository


def test_the_digest_is_the_one_of_the_registry_in_question() -> None:
    digests = ["mirror.example.com/nginx@sha256:other", f"nginx@{DIGEST}"]
    assert inventory.registry_digest("nginx:1.30.4", digests) == DIGEST
    assert inventory.registry_digest("mirror.example.com/nginx:1.30.4", digests) == "sha256:other"
    assert inventory.registry_digest("redis:8", digests) == ""


def test_what_docker_says_of_an_image_or_does_not() -> None:
    said = {
        "Id": "sha256:ab",
        "RepoDigests": [f"nginx@{DIGEST}"],
        "Size": 7,
        "Config": {"Labels": {"org.remotegpu.stand-in": "nginx of Debian"}},
    }
    wanted = Wanted(name="nginx", reference="nginx:1.30.4")
    found = inventory.described(wanted, said)
    assert (found.id, found.digest, found.size, found.stand_in) == ("sha256:ab", DIGEST, 7, "nginx of Debian")
    assert inventory.described(wanted, None).id == ""
    assert (
        inventory.described(wanted, {"Id": "x", "RepoDigests": None, "Config": {"Labels": None}}).digest == ""
    )


def image(reference: str, *, id_: str = "sha256:ab", digest: str = DIGEST) -> SiteImage:
    return SiteImage(name="nginx", reference=reference, id=id_, digest=digest, size=1, stand_in="")


@pytest.mark.parametrize(
    ("found", "after", "result"),
    [
        (image("nginx:1.30.4"), f"nginx:1.30.4@{DIGEST}", "pinned"),
        (image(f"nginx:1.30.4@{DIGEST}"), f"nginx:1.30.4@{DIGEST}", "unchanged"),
        (image("nginx:1.30.4@sha256:old"), f"nginx:1.30.4@{DIGEST}", "pinned"),
        (image("nginx:1.30.4", digest=""), "nginx:1.30.4", "no digest"),
        (image("nginx:1.30.4", id_="", digest=""), "nginx:1.30.4", "not here"),
    ],
)
def test_a_component_is_pinned_to_what_a_registry_vouches_for_and_to_nothing_else(
    found: SiteImage, after: str, result: str
) -> None:
    (pin,) = pinning.decide([found])
    assert (pin.before, pin.after, pin.result) == (found.reference, after, result)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pinning_changes_the_images_and_not_one_other_line(language: Language) -> None:
    text = to_yaml(CONFIG, language)
    written = pinning.rewritten(text, {"nginx": f"nginx:1.30.4@{DIGEST}"})
    head, _, _ = text.partition("images: {}")
    assert written == f"{head}images:\n  nginx: nginx:1.30.4@{DIGEST}\n"
    assert parse(written).images == {"nginx": f"nginx:1.30.4@{DIGEST}"}


def test_comments_and_other_choices_stay() -> None:
    text = (
        "site: {name: acme, domain: gpu.example.com}  # ours\n"
        "release:\n"
        "  version: 'v1.0.0'\n"
        "images:\n"
        "  # the newest that our scanner passed\n"
        "  redis: redis:8.4.6  # checked on Monday\n"
        'backup: {daily_at: "02:00"}\n'
    )
    written = pinning.rewritten(text, {"redis": f"redis:8.4.6@{DIGEST}", "nginx": f"nginx:1.30.4@{DIGEST}"})
    assert written == text.replace(
        "  redis: redis:8.4.6  # checked on Monday\n",
        f"  redis: redis:8.4.6@{DIGEST} # checked on Monday\n  nginx: nginx:1.30.4@{DIGEST}\n",
    )


def test_a_pinned_image_is_carried_under_its_tag() -> None:
    assert tag_for(f"host:5000/nginx:1.30.4@{DIGEST}") == "host:5000/nginx:1.30.4"


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    gone = image("nginx:1.30.4", id_="", digest="")
    here = SiteImage(
        name="redis",
        reference="redis:8.4.6",
        id="sha256:0123456789abcdef",
        digest="",
        size=2048,
        stand_in="Redis 8.0 of Debian",
    )
    show([gone, here])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "FOR    IMAGE         ID            SIZE     DIGEST  NOTE",
        "nginx  nginx:1.30.4  -             -        -       not on this node",
        "redis  redis:8.4.6   0123456789ab  2.0 KiB  -       stand-in: Redis 8.0 of Debian",
    ]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Of a site on a node whose engine does not answer."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    path = tmp_path / "remotegpu.yaml"
    given = ["--name", "acme", "--domain", "gpu.example.com", "--version", "v1.0.0", "--config", str(path)]
    assert run(["site", "init", *given]) == 0
    path.write_text(path.read_text().replace("/opt/remotegpu", str(tmp_path / "site")))
    capsys.readouterr()
    return path


def test_nothing_is_saved_of_images_that_are_not_here(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = config.parent / "images.tar"
    assert run(["site", "images", "save", str(target), "--config", str(config), "--json"]) == 1
    assert "not on this node: remotegpu-backend:v1.0.0" in json.loads(capsys.readouterr().out)["error"]
    assert not target.exists()


def test_nothing_is_locked_where_nothing_is_known(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = config.read_text()
    assert run(["site", "lock", "--config", str(config), "--json", "--dry-run"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["written"]) == (False, False)
    assert [pin["result"] for pin in said["pins"]] == ["not here"] * 3
    assert config.read_text() == before


def test_a_pull_says_of_each_image_why_it_failed(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["site", "images", "pull", "--config", str(config), "--json"]) == 1
    failed = json.loads(capsys.readouterr().out)["failed"]
    assert "release.registry" in failed["remotegpu-backend:v1.0.0"]
    assert "nobody.sock" in failed["nginx:1.30.4"]


def test_a_file_that_is_none_is_refused_before_the_engine_is_asked(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["site", "images", "load", str(config), "--json"]) == 1
    assert "nothing was loaded" in json.loads(capsys.readouterr().out)["error"]
