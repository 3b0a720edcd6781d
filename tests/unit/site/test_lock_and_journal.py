"""One change at a time, and a record that survives a kill in the middle of a word."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remotegpu.site import lock
from remotegpu.site.journal import END, Entry, Journal, State

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOLD = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from remotegpu.site import lock
with lock.held(Path(sys.argv[1]), "deploy v1.2.0", datetime(2026, 11, 24, 12, 0, tzinfo=UTC)):
    print("held", flush=True)
    time.sleep(60)
"""


def entry(run: str, step: str, state: State = "done", minutes: int = 0) -> Entry:
    at = NOON + timedelta(minutes=minutes)
    return Entry(at=at, run=run, what="deploy", step=step, state=state)


def test_who_comes_second_is_told_who_is_at_work_until_that_one_dies(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        told = rf"deploy v1\.2\.0 by .*, pid {process.pid}, since 2026-11-24T12:00:00\+00:00"
        with pytest.raises(lock.SiteBusyError, match=told), lock.held(tmp_path, "backup", NOON):
            pytest.fail("two at once")
    finally:
        process.kill()
        process.wait()
    with lock.held(tmp_path, "backup", NOON):
        pass


def test_a_run_without_an_end_is_gone_on_with(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.unfinished("deploy") is None
    for each in [
        entry("r1", "backup"),
        entry("r1", END),
        entry("r2", "backup"),
        entry("r2", "migrate", "begun"),
    ]:
        journal.write(each)
    left = Journal(tmp_path).unfinished("deploy")
    assert left is not None
    assert (left.run, left.done) == ("r2", {"backup"})
    journal.write(entry("r2", END, "failed"))
    assert Journal(tmp_path).unfinished("deploy") is None
    assert [run.run for run in journal.runs()] == ["r1", "r2"]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_word_that_a_crash_cut_off_was_not_said(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.write(entry("r1", "backup"))
    journal.write(entry("r1", "migrate"))
    journal.path.write_bytes(journal.path.read_bytes()[:-cut])
    expected = ["backup", "migrate"] if cut == 1 else ["backup"]
    assert [each.step for each in journal.entries()] == expected
    journal.write(entry("r1", "start"))
    assert [each.step for each in journal.entries()] == [*expected, "start"]
