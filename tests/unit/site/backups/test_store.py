"""A backup is there whole or not at all, and what its manifest says can be checked."""

from pathlib import Path

import msgspec
import pytest

from remotegpu.site.backups import store as store_module
from remotegpu.site.backups import work
from remotegpu.site.backups.errors import BackupError, UsageError
from remotegpu.site.backups.manifests import FILE_NAME, new_id
from remotegpu.site.backups.settings import load
from remotegpu.site.backups.store import Store, damage, described
from remotegpu.site.lock import SiteBusyError
from unit.site.backups.manifest_examples import NOW, manifest


def made(found: Store, days: float = 0) -> Path:
    entry = manifest("database", days)
    folder = found.begin("database", entry.id)
    (folder / "database.dump").write_bytes(b"content")
    return found.finish(folder, msgspec.structs.replace(entry, files=described(folder)))


def test_an_unfinished_backup_is_not_listed_and_is_taken_away_by_the_next_writer(tmp_path: Path) -> None:
    found = Store(tmp_path)
    done = made(found)
    begun = found.begin("database", new_id(NOW))
    (begun / "database.dump").write_bytes(b"half")
    without = tmp_path / "redis" / "20260101T000000Z-aaaaaa"
    without.mkdir(parents=True)
    assert [each.id for each in found.all()] == [done.name]
    assert found.unfinished() == [begun, without]
    settings = load({"BACKUP_DIR": str(tmp_path)})
    with work.writing(settings, "test", NOW) as again:
        assert again.unfinished() == []
        with pytest.raises(SiteBusyError, match="test by"), work.writing(settings, "another", NOW):
            pass
    assert done.exists()


def test_a_backup_that_is_removed_halfway_counts_as_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Store(tmp_path)
    done = made(found)

    def crash(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module.shutil, "rmtree", crash)
    with pytest.raises(KeyboardInterrupt):
        found.remove(done)
    assert found.all() == []
    assert found.unfinished() == [done]


def test_damage_is_named(tmp_path: Path) -> None:
    found = Store(tmp_path)
    path = made(found)
    files = found.get(path.name).files
    assert damage(path, files) == []
    dump = path / "database.dump"
    dump.write_bytes(b"CONTENT")
    assert "another checksum" in damage(path, files)[0]
    dump.write_bytes(b"cont")
    assert "has 4 bytes, expected 7" in damage(path, files)[0]
    dump.unlink()
    assert damage(path, files) == [f"{dump} is missing"]


def test_a_manifest_that_cannot_be_read_makes_no_backup(tmp_path: Path) -> None:
    found = Store(tmp_path)
    path = made(found)
    (path / FILE_NAME).write_text("{")
    assert found.all() == []
    with pytest.raises(UsageError, match="found no backup"):
        found.get(path.name)


def test_the_newest_is_the_last_that_was_begun(tmp_path: Path) -> None:
    found = Store(tmp_path)
    made(found, 2)
    newest = made(found, 1)
    made(found, 3)
    last = found.newest("database")
    assert last is not None
    assert last.id == newest.name
    assert found.newest("redis") is None


def test_too_little_room_is_said_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"The dump needs \d+ MiB in .*, found \d+ MiB free"):
        work.need_room(tmp_path, 1 << 60, "The dump")
    work.need_room(tmp_path, 0, "The dump")
