"""What the lines of the key of continuous backups say, and when a retired key is forgotten."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remotegpu.site import backup_keys, secrets
from remotegpu.site.config.model import Config, Release, Site
from remotegpu.site.deploying import retired_keys
from remotegpu.site.place import Place

NOW = datetime(2026, 3, 10, tzinfo=UTC)
LINES = [
    "in-use repository=0123456789ab",
    "announced repository=ba9876543210",
    "second repository=cccccccccccc until=2026-03-12T00:00:00+00:00",
    "first until=2026-03-08T00:00:00+00:00",
]


def test_lines_are_read_as_they_are_written() -> None:
    keys = backup_keys.ring(LINES)
    assert backup_keys.lines(keys) == LINES
    assert keys.announced
    assert [key.value for key in (keys.in_use, keys.announced, *keys.retired)] == [
        line.split()[0] for line in LINES
    ]
    assert "in-use" not in repr(keys)


def test_the_first_repository_stays_where_it_is_and_later_ones_lie_in_it() -> None:
    assert str(backup_keys.parse("first").local) == "/backups/pgbackrest"
    assert str(backup_keys.parse("first").offsite) == "/pgbackrest"
    assert str(backup_keys.parse(LINES[0]).local) == "/backups/pgbackrest/0123456789ab"
    one, other = backup_keys.new("a" * 64), backup_keys.new("b" * 64)
    assert one.local != other.local
    assert one == backup_keys.new("a" * 64)


def place_with(tmp_path: Path, lines: list[str]) -> Place:
    site = Site(name="acme", domain="gpu.example.com", directory=str(tmp_path / "site"))
    secrets.ensure(tmp_path)
    secrets.write(tmp_path, backup_keys.NAME, lines)
    return Place(Config(site=site, release=Release(version="v1.0.0")), tmp_path / "remotegpu.yaml")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_key_is_forgotten_when_its_time_is_over_and_its_repository_gone(
    tmp_path: Path, is_there: bool
) -> None:
    place = place_with(tmp_path, LINES)
    made = NOW - timedelta(days=100)
    os.utime(tmp_path / "secrets" / backup_keys.NAME, (made.timestamp(), made.timestamp()))
    (place.directory / "backups/pgbackrest/0123456789ab/archive/remotegpu").mkdir(parents=True)
    if is_there:
        (place.directory / "backups/pgbackrest/backup/remotegpu").mkdir(parents=True)
    forgotten = retired_keys.forget(place, NOW)
    assert forgotten == ([] if is_there else ["/backups/pgbackrest"])
    assert secrets.read(tmp_path, backup_keys.NAME) == (LINES if is_there else LINES[:3])
    assert (tmp_path / "secrets" / backup_keys.NAME).stat().st_mtime == made.timestamp(), "as old as it was"
