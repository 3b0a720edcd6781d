"""Compose may end with 0 although a service is not well: it is looked at, and what it said is shown."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remotegpu.site.commands.compose import Compose
from remotegpu.site.config.model import Config, Site
from remotegpu.site.config.model import Release as Wanted
from remotegpu.site.deploying import health
from remotegpu.site.deploying.deployment import DeployError
from remotegpu.site.place import Place
from remotegpu.site.releases import Release
from remotegpu.site.verbs import restore

WELL = ("backend-blue", "frontend-blue", "worker")
DOCKER = """#!/bin/sh
echo "$*" >> asked
case "$*" in
*" ps "*) cat containers ;;
*" logs "*) for last; do :; done; echo "$last says why" ;;
esac
"""


def entry(service: str, state: str = "running", shown: str = "healthy") -> dict[str, str]:
    return {"Service": service, "State": state, "Health": shown}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Compose ends with 0 whatever it is asked."""
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    return tmp_path


def write(site: Path, *found: dict[str, str]) -> None:
    (site / "containers").write_text("".join(json.dumps(one) + "\n" for one in found))


def start(site: Path) -> None:
    place = Place(
        Config(
            site=Site(name="acme", domain="gpu.example.com", directory=str(site)),
            release=Wanted(version="v1.0.0"),
        ),
        site / "remotegpu.yaml",
    )
    release = Release(
        id="r1",
        version="v1.0.0",
        slot="blue",
        images={},
        image_ids={},
        config_hash="",
        schema="",
        git_revision="",
        deployed_at=datetime(2026, 11, 24, tzinfo=UTC),
        by="x",
        why="",
    )
    restore.start_serving(Compose(site), release, place)


def test_a_restore_ends_when_everything_is_well(site: Path) -> None:
    write(site, *map(entry, WELL), entry("backup", shown="unhealthy"))
    start(site)
    assert " up --detach --no-deps --wait " in (site / "asked").read_text()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (entry("worker", shown="unhealthy"), "worker is unhealthy after"),
        (entry("worker", shown="starting"), "worker is starting after"),
        (entry("worker", state="restarting", shown=""), "worker is restarting after"),
    ],
)
def test_a_restore_fails_with_the_last_words_of_what_is_not_well(
    site: Path, found: dict[str, str], said: str
) -> None:
    write(site, *(entry(service) for service in WELL if service != "worker"), found)
    with pytest.raises(DeployError) as caught:
        start(site)
    assert str(caught.value).startswith(said)
    assert "expected running and healthy\nThe end of worker's log:\nworker says why" in str(caught.value)


def test_a_service_that_is_not_there_is_missing(site: Path) -> None:
    write(site, *(entry(service) for service in WELL if service != "worker"))
    with pytest.raises(DeployError, match="worker is missing after"):
        start(site)


def test_where_all_are_well_the_one_asked_for_shows_its_log_and_an_engine_that_is_gone_shows_nothing(
    site: Path,
) -> None:
    write(site, *map(entry, WELL))
    assert (
        health.last_words(Compose(site), "worker", "no-such") == "The end of worker's log:\nworker says why"
    )
    (site / "containers").unlink()
    assert not health.last_words(Compose(site), "worker")
