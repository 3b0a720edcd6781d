"""Copies of configuration and secrets: made at a change, unreadable without the key, never written over others."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
import pytest

from remotegpu.site import keeping, kept, secrets
from remotegpu.site.bundle.render import render
from remotegpu.site.config.model import Backup, Config, Release, Site
from remotegpu.site.keeping import KeepingError
from remotegpu.site.place import Place

NOW = datetime(2026, 3, 1, tzinfo=UTC)
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="files are given to the container's user, which takes root"
)


@pytest.fixture
def identity() -> "pyrage.x25519.Identity":
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def place(tmp_path: Path, identity: "pyrage.x25519.Identity") -> Place:
    for folder in (keeping.CONFIGURATION, keeping.SECRETS):
        (tmp_path / "site" / folder).mkdir(parents=True)
    secrets.ensure(tmp_path)
    (tmp_path / "remotegpu.yaml").write_text("site: {}\n")
    config = Config(
        site=Site(name="acme", domain="gpu.example.com", directory=str(tmp_path / "site")),
        release=Release(version="v1.0.0"),
        backup=Backup(age_recipients=[str(identity.to_public())]),
    )
    return Place(config, tmp_path / "remotegpu.yaml")


def keep(place: Place, minutes: int = 0) -> list[Path]:
    return keeping.keep(place, render(place.config), NOW + timedelta(minutes=minutes))


def test_they_come_back_with_the_key_and_only_with_it(
    place: Place, identity: "pyrage.x25519.Identity", tmp_path: Path
) -> None:
    _, bundle = keep(place)
    found = keeping.opened(bundle, f"# a comment\n{identity}\n")
    assert found == keeping.originals(place.originals)
    for value in found.values():
        assert value not in bundle.read_bytes()
    with pytest.raises(KeepingError, match="cannot be opened with this key"):
        keeping.opened(bundle, str(pyrage.x25519.Identity.generate()))
    with pytest.raises(KeepingError, match="no age key"):
        keeping.opened(bundle, "nonsense")
    empty = tmp_path / "elsewhere"
    assert keeping.put_back(found, empty) == sorted(found)
    assert keeping.originals(empty) == found


def test_a_copy_is_made_at_a_change_and_at_no_other_time(place: Place) -> None:
    assert len(keep(place)) == 2
    assert keep(place, 1) == []
    secrets.write(place.originals, "redis_password", ["another"])
    assert [path.suffix for path in keep(place, 2)] == [".age"]
    another = str(pyrage.x25519.Identity.generate().to_public())
    backup = Backup(age_recipients=[*place.config.backup.age_recipients, another])
    config = Config(site=place.config.site, release=place.config.release, backup=backup)
    later = keeping.keep(Place(config, place.config_path), render(place.config), NOW + timedelta(minutes=3))
    assert [path.suffix for path in later] == [".age"], "a new key can open what is there"


def test_without_a_key_no_copy_of_secrets_is_made(place: Place) -> None:
    open_place = Place(Config(site=place.config.site, release=place.config.release), place.config_path)
    assert [path.name.endswith(".tar.gz") for path in keep(open_place)] == [True]


def test_other_secrets_are_not_written_over(place: Place, tmp_path: Path) -> None:
    (tmp_path / "other/secrets").mkdir(parents=True)
    (tmp_path / "other/secrets/redis_password").write_text("theirs")
    with pytest.raises(KeepingError, match=r"found other secrets .* \(redis_password\)"):
        keeping.put_back(keeping.originals(place.originals), tmp_path / "other")
    assert [path.name for path in (tmp_path / "other/secrets").iterdir()] == ["redis_password"]


def test_the_oldest_go() -> None:
    names = [f"{number:03}" for number in range(60)]
    assert kept.superfluous(names) == [f"{number:03}" for number in range(9, -1, -1)]
    assert kept.superfluous(names[:50]) == []
