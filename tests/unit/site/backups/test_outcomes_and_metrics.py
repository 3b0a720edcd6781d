"""What happened is kept, also when it went wrong, and shows in the metrics."""

from pathlib import Path

import pytest

from remotegpu.site.backups import drill, metrics, outcomes
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.settings import load
from remotegpu.site.backups.store import Store
from unit.site.backups.manifest_examples import NOW, manifest


def test_a_failure_is_kept_until_a_success(tmp_path: Path) -> None:
    assert outcomes.read(tmp_path, "redis").is_well
    with pytest.raises(BackupError), outcomes.recorded(tmp_path, "redis"):
        raise BackupError("no room")
    failed = outcomes.read(tmp_path, "redis")
    assert (failed.is_well, failed.error) == (False, "no room")
    with outcomes.recorded(tmp_path, "redis"):
        pass
    after = outcomes.read(tmp_path, "redis")
    assert after.is_well
    assert after.failed_at == failed.failed_at


def test_metrics_follow_what_is_on_disk(tmp_path: Path) -> None:
    settings = load({"BACKUP_DIR": str(tmp_path), "SCRATCH_DIR": str(tmp_path), "PGHOST": str(tmp_path)})
    found = Store(tmp_path)
    found.finish(found.begin("redis", "x"), manifest("redis", 1))
    with pytest.raises(BackupError), outcomes.recorded(tmp_path, "database"):
        raise BackupError("no room")
    drill.write(
        tmp_path,
        drill.Drill(
            id="d",
            started_at=NOW,
            finished_at=NOW,
            passed=False,
            rto_s=12.5,
            rpo_s=None,
            dump=None,
            moment=None,
            error="why",
        ),
    )
    values = {(name, labels): value for name, labels, value in metrics.samples(settings)}
    assert values["kept", ("redis",)] == 1
    assert (
        values["last_success_timestamp_seconds", ("redis",)] == manifest("redis", 1).finished_at.timestamp()
    )
    assert values["healthy", ("database",)] == 0
    assert values["drill_passed", ()] == 0
    assert values["drill_rto_seconds", ()] == 12.5
    assert values["database_up", ()] == 0
    assert ("drill_last_success_timestamp_seconds", ()) not in values
    for name, labels in values:
        assert len(metrics.FAMILIES[name][1]) == len(labels)


def test_a_drill_says_everything_that_kept_it_from_passing() -> None:
    dump = drill.DumpDrill(backup="b", tables=1, rows=1, restore_s=1, check_s=1, problems=("one", "two"))
    result = drill.Drill(
        id="d",
        started_at=NOW,
        finished_at=NOW,
        passed=False,
        rto_s=None,
        rpo_s=None,
        dump=dump,
        moment=None,
        error="three",
    )
    assert result.reasons == ["one", "two", "three"]
