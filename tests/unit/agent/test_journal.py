"""What the journal remembers, and that a killed agent's journal is whole."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from remotegpu.agent.journal import TOMBSTONE_S, AccountRecord, Journal, JournalError
from remotegpu.agent.tasks.adapter import AttemptExit
from remotegpu.agent.tasks.process_identity import ProcessIdentity
from remotegpu.protocol.attempts import ArtifactFile, AttemptReport, AttemptSpec

SPEC = AttemptSpec(
    attempt_id="a1",
    task_id="t1",
    number=1,
    account="acme",
    kind="shell",
    command="echo secret",
    args=["x"],
    env={"KEY": "secret"},
)
PROCESS = ProcessIdentity(pid=4711, start_ticks=99, boot_id="boot")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def reopened(path: Path) -> Journal:
    return Journal(path)


def test_attempt_is_entered_once(path: Path) -> None:
    journal = Journal(path)
    assert journal.record_starting(SPEC)
    assert not journal.record_starting(SPEC)
    journal.close()
    assert not reopened(path).record_starting(SPEC)


def test_every_step_survives_reopening(path: Path) -> None:
    ended = AttemptExit(outcome="failed", exit_code=-9, reason="why", log_bytes=7, truncated=True)
    files = [ArtifactFile(path="ü/x", size_bytes=3, sha256="00")]
    report = AttemptReport(attempt_id="a1", state="failed", exit_code=-9, artifacts=files)
    journal = Journal(path)
    journal.record_starting(SPEC)
    journal.record_running("a1", PROCESS, 12.5)
    journal.record_log("a1", 7, final=True)
    journal.record_exit("a1", ended)
    journal.record_artifacts("a1", files)
    journal.record_settled(report)
    journal.close()
    (found,) = reopened(path).attempts()
    assert (found.spec, found.phase, found.process, found.started_at) == (SPEC, "settled", PROCESS, 12.5)
    assert (found.exit, found.log_offset, found.log_final) == (ended, 7, True)
    assert (found.artifacts, found.report, found.dropped) == (files, report, False)


def test_dropped_attempt_keeps_its_result_and_loses_its_secrets(path: Path) -> None:
    journal = Journal(path)
    journal.record_starting(SPEC)
    journal.record_settled(AttemptReport(attempt_id="a1", state="succeeded"))
    journal.record_dropped(SPEC)
    assert journal.attempts() == []
    found = journal.find("a1")
    assert found is not None
    assert found.dropped
    assert (found.spec.command, found.spec.args, found.spec.env) == ("", [], {})
    assert found.report is not None
    journal.revive("a1")
    assert [each.spec.attempt_id for each in journal.attempts()] == ["a1"]


def test_long_forgotten_attempts_are_purged(path: Path) -> None:
    now = [1000.0]
    journal = Journal(path, clock=lambda: now[0])
    journal.record_starting(SPEC)
    journal.record_dropped(SPEC)
    now[0] += TOMBSTONE_S - 1
    assert journal.purge() == 0
    now[0] += 2
    assert journal.purge() == 1
    assert journal.find("a1") is None


def test_accounts_are_told_apart_by_their_allocation(path: Path) -> None:
    journal = Journal(path)
    journal.record_account(AccountRecord("acme", "lease-1", "present"))
    journal.record_account(AccountRecord("acme", "lease-1", "failed", "a process stays"))
    journal.record_account(AccountRecord("acme", "lease-2", "present"))
    assert journal.accounts() == [
        AccountRecord("acme", "lease-1", "failed", "a process stays"),
        AccountRecord("acme", "lease-2", "present"),
    ]
    journal.forget_account("acme", "lease-1")
    assert [each.allocation_id for each in journal.accounts()] == ["lease-2"]


def test_what_was_recorded_before_a_kill_is_there_after_it(path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from remotegpu.agent.journal import Journal
from remotegpu.protocol.attempts import AttemptSpec
journal = Journal(Path({str(path)!r}))
for n in range(20):
    journal.record_starting(AttemptSpec(
        attempt_id=f"a{{n}}", task_id="t", number=n, account="acme", kind="shell", command=""))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert [each.spec.attempt_id for each in reopened(path).attempts()] == [f"a{n}" for n in range(20)]


def test_journal_is_readable_by_its_owner_only(path: Path) -> None:
    Journal(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_damaged_or_newer_journal_is_refused_with_what_to_do(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(JournalError, match="move the file away"):
        Journal(path)
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="newer agent"):
        Journal(path)
