"""What leaves the site is encrypted, whole, and goes again when it was kept long enough."""

from datetime import timedelta
from pathlib import Path

import pyrage
import pytest

from remotegpu.site.backups import offsite
from remotegpu.site.backups.errors import BackupError
from unit.site.backups.manifest_examples import NOW, manifest


def keys(folder: str, days: int) -> list[str]:
    name = f"{NOW - timedelta(days=days):%Y%m%dT%H%M%SZ}-abc"
    return [f"{folder}/{name}/{file}.age" for file in ("database.dump", "manifest.json")]


def test_a_backup_that_was_sent_in_part_is_sent_again() -> None:
    one, two, base = manifest("database", 2), manifest("database", 1), manifest("base", 1)
    whole = [f"postgresql/{one.id}/{file}.age" for file in ("database.dump", "manifest.json")]
    part = [f"postgresql/{two.id}/database.dump.age"]
    assert offsite.unsent([one, two, base], [*whole, *part]) == [two]
    assert offsite.unsent([one, two], []) == [one, two]


def test_old_ones_go_and_the_newest_of_a_kind_stays() -> None:
    there = [*keys("postgresql", 50), *keys("postgresql", 40), *keys("redis", 60), "other/thing/else"]
    assert offsite.expired(there, NOW, timedelta(days=30)) == keys("postgresql", 50)
    assert offsite.expired([], NOW, timedelta(days=30)) == []


def test_only_the_private_key_opens_what_was_sent(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "dump").write_bytes(b"the customers' data" * 1000)
    offsite.encrypt(tmp_path / "dump", tmp_path / "sent", str(identity.to_public()))
    sent = (tmp_path / "sent").read_bytes()
    assert b"customers" not in sent
    assert pyrage.decrypt(sent, [identity]) == (tmp_path / "dump").read_bytes()
    with pytest.raises(BackupError, match="cannot be encrypted"):
        offsite.encrypt(tmp_path / "dump", tmp_path / "sent", "age1" + "q" * 58)
