"""A new key for the continuous backups: from then on the old one encrypts nothing, and no moment is lost."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from remotegpu.site import backup_keys, rotation
from remotegpu.site.rotation import Before, Means, Phase
from stack.backups.bed import FIRST_KEY, Bed
from stack.backups.test_restore import writing
from stack.backups.test_trouble import PYTHON

WINDOW = timedelta(days=7)
NEW_KEY = "the-key-that-comes-after-it"


class Rotation:
    """The product's own decisions, carried out on the bed."""

    def __init__(self, site: Bed, key: str, now: datetime | None = None) -> None:
        self.site, self.key = site, key
        self.now = now or datetime.now(UTC)
        self.lines = [FIRST_KEY]
        self.before = Before(role="", passwords={}, backup_key=rotation.fingerprint(FIRST_KEY))

    def enter(self, phase: Phase) -> None:
        """Decide, and write what the containers read."""
        means = Means(new=lambda: self.key, now=self.now, token_lifetime=WINDOW, backup_window=WINDOW)
        known = {backup_keys.NAME: self.lines}
        changed = rotation.after(phase, ["encryption-key"], known, self.before, means)
        self.lines = changed.get(backup_keys.NAME, self.lines)
        self.site.keys(*self.lines)

    @property
    def repository(self) -> Path:
        """Of the new key, on this computer."""
        return self.site.root / str(backup_keys.new(self.key).local).lstrip("/")


def customer(site: Bed, name: str) -> str:
    """A new one; returns a moment at which it was there and the next one was not."""
    site.psql("remotegpu", f"INSERT INTO customers (name) VALUES ('{name}')")
    return site.moment()


def hand_over(site: Bed, repository: Path) -> str:
    """End the WAL segment. Returns its name once it is in the archive."""
    segment = site.psql("remotegpu", "SELECT pg_walfile_name(pg_current_wal_lsn())")
    site.psql("remotegpu", "SELECT pg_switch_wal()")
    archive = repository / "archive/remotegpu"
    site.until(lambda: bool(list(archive.rglob(f"{segment}-*"))), f"archiving of {segment}")
    return segment


def customers(site: Bed, at: str, names: Sequence[str]) -> set[str]:
    """Which of them a restore to ``at`` brings back."""
    site.backups("restore", "--into", "looked_at", "--at", at)
    listed = ", ".join(f"'{name}'" for name in names)
    found = site.psql("looked_at", f"SELECT name FROM customers WHERE name IN ({listed})").split("\n")
    site.psql("postgres", "DROP DATABASE looked_at")
    return {name for name in found if name}


def test_every_moment_around_a_new_key_can_be_restored(own_site: Bed) -> None:
    site, names = own_site, ("before", "between", "after")
    old_repository = site.root / "backups/pgbackrest"
    turn = Rotation(site, NEW_KEY)
    moments = {"before": customer(site, "before")}
    hand_over(site, old_repository)
    with writing(site):
        turn.enter("announce")
        site.backups("prepare-next-key")
        assert turn.repository.is_dir()
        hand_over(site, old_repository)
        failed = site.backups("wal-status")["failed"]
        turn.enter("use")
        moments["between"] = customer(site, "between")
        segment = hand_over(site, turn.repository)
        assert not list((old_repository / "archive").rglob(f"{segment}-*"))
        assert customers(site, moments["before"], names) == {"before"}
        assert customers(site, moments["between"], names) == {"before", "between"}
        (base,) = site.backups("run", "--kind", "base")["backups"]
        assert base["base"]["type"] == "full"
        turn.enter("retire")
        site.until_later_than(base["finished_at"])
        moments["after"] = customer(site, "after")
    assert customers(site, moments["after"], names) == set(names)
    assert customers(site, moments["between"], names) == {"before", "between"}
    assert customers(site, moments["before"], names) == {"before"}
    assert site.backups("wal-status")["failed"] == failed, "the change of keys made PostgreSQL wait"
    drill = site.backups("drill")["drill"]
    assert drill["passed"], drill
    assert site.backups("verify")["ok"]
    the_old_key_opens_nothing_new(site, turn)


def the_old_key_opens_nothing_new(site: Bed, turn: Rotation) -> None:
    """Neither in the new repository, which refuses it, nor by anything new in the old one."""
    turn.site.keys(*[line.replace(NEW_KEY, FIRST_KEY) for line in turn.lines])
    for arguments in (["restore", "--into", "copy", "--at", site.moment()], ["run", "--kind", "base"]):
        said = site.backups(*arguments, status=1)["error"]
        assert "the key in pgBackRest's configuration does not open the repository" in said
        assert FIRST_KEY not in said
    site.keys(*turn.lines)
    site.backups("run", "--kind", "base")
    assert NEW_KEY not in (site.root / "secrets/restore/retired.json").read_text()


PRUNED = """
import dataclasses, datetime
from remotegpu.site.backups import retired, settings
now = datetime.datetime.now(datetime.UTC)
print(retired.remove(dataclasses.replace(settings.load(), wal_days=0), now, print, dry_run=False))
"""
"""With a window that even a new base backup reaches back to."""


def test_a_retired_repository_goes_when_nothing_needs_it_any_more(own_site: Bed) -> None:
    """Its time is over; what counts as well is whether the new one has the whole window."""
    site = own_site
    turn = Rotation(site, NEW_KEY, now=datetime.now(UTC) - WINDOW - timedelta(days=1))
    turn.enter("announce")
    site.backups("prepare-next-key")
    turn.enter("use")
    assert site.backups("prune")["repositories"] == []
    (base,) = site.backups("run", "--kind", "base")["backups"]
    assert site.backups("prune")["repositories"] == []
    kept = site.root / "backups/pgbackrest"
    assert {path.name for path in kept.iterdir()} == {"archive", "backup", turn.repository.name}
    assert "removing /backups/pgbackrest" in site.sh("backup", PYTHON, "-c", PRUNED)
    assert {path.name for path in kept.iterdir()} == {turn.repository.name}
    assert site.sh("backup", PYTHON, "-c", PRUNED).strip() == "[]"
    site.keys(*turn.lines[:1])
    site.until_later_than(base["finished_at"])
    site.backups("restore", "--into", "copy", "--at", site.moment())
    assert site.backups("drill")["drill"]["passed"]
