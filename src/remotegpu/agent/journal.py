"""What the agent must still know after a crash: attempts it began, their results, and accounts it made.

SQLite in WAL mode. Facts that decide whether something runs twice or a result is lost are committed with
``synchronous=FULL``; an acknowledged log offset is not (after a power cut the server names the right one).

A row of a forgotten attempt stays for :data:`TOMBSTONE_S` with its last report: should the server ask for the
attempt again (it was restored from a backup), it is told the result instead of getting a second run.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from remotegpu.agent.tasks.adapter import AttemptExit
from remotegpu.agent.tasks.process_identity import ProcessIdentity
from remotegpu.protocol.attempts import ArtifactFile, AttemptReport, AttemptSpec

TOMBSTONE_S = 7 * 86_400.0
SCHEMA_VERSION = 1

AttemptPhase = Literal["starting", "running", "exited", "settled"]
"""``starting``: recorded, perhaps not begun. ``running``: its process exists. ``exited``: it ended, log or
artifacts are still on their way. ``settled``: the final report is complete and repeats until dropped."""

AccountPhase = Literal["present", "absent", "failed"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
    attempt_id TEXT PRIMARY KEY,
    spec BLOB NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('starting', 'running', 'exited', 'settled')),
    process BLOB,
    started_at REAL,
    exit BLOB,
    log_offset INTEGER NOT NULL DEFAULT 0,
    log_final INTEGER NOT NULL DEFAULT 0,
    artifacts BLOB,
    report BLOB,
    dropped_at REAL
) STRICT;
CREATE TABLE IF NOT EXISTS accounts (
    name TEXT NOT NULL,
    allocation_id TEXT NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('present', 'absent', 'failed')),
    detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (name, allocation_id)
) STRICT;
"""

_SELECT = (
    "SELECT spec, phase, process, started_at, exit, log_offset, log_final, artifacts, report, dropped_at"
    " FROM attempts"
)


class JournalError(Exception):
    """The journal cannot be used; the message says which file and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt as last written. ``artifacts`` is None until all of them were uploaded."""

    spec: AttemptSpec
    phase: AttemptPhase
    process: ProcessIdentity | None = None
    started_at: float | None = None
    exit: AttemptExit | None = None
    log_offset: int = 0
    log_final: bool = False
    artifacts: list[ArtifactFile] | None = None
    report: AttemptReport | None = None
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """One account and for which allocation it is there (or gone)."""

    name: str
    allocation_id: str
    phase: AccountPhase
    detail: str = ""


class Journal:
    """Thread-safe; each method is one transaction and blocks for at most one ``fsync``."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            self._prepare(path)
        except (sqlite3.Error, OSError) as error:
            raise JournalError(
                f"cannot use the journal {path}: {error}; check the disk, or move the file away to start "
                "without the memory of earlier attempts"
            ) from error

    def close(self) -> None:
        """Close the file. The journal is not usable afterwards."""
        with self._lock:
            self._db.close()

    def record_starting(self, spec: AttemptSpec) -> bool:
        """Note that ``spec`` is about to start. False when this attempt id is known already: do not start it."""
        with self._writing(durable=True) as db:
            done = db.execute(
                "INSERT OR IGNORE INTO attempts (attempt_id, spec, phase) VALUES (?, ?, 'starting')",
                (spec.attempt_id, msgspec.json.encode(spec)),
            )
            return done.rowcount == 1

    def record_running(self, attempt_id: str, process: ProcessIdentity, started_at: float) -> None:
        """Its process exists. Not durable: the attempt's own directory says the same."""
        self._update(
            "phase = 'running', process = ?, started_at = ?",
            (msgspec.json.encode(process), started_at, attempt_id),
        )

    def record_exit(self, attempt_id: str, ended: AttemptExit) -> None:
        """Its process ended."""
        self._update("phase = 'exited', exit = ?", (msgspec.json.encode(ended), attempt_id), durable=True)

    def record_log(self, attempt_id: str, offset: int, *, final: bool) -> None:
        """The server has the log up to ``offset``; ``final`` when it knows that nothing follows."""
        self._update("log_offset = ?, log_final = ?", (offset, int(final), attempt_id), durable=final)

    def record_artifacts(self, attempt_id: str, files: list[ArtifactFile]) -> None:
        """All artifacts are in the object store."""
        self._update("artifacts = ?", (msgspec.json.encode(files), attempt_id), durable=True)

    def record_settled(self, report: AttemptReport) -> None:
        """The final report is complete."""
        self._update(
            "phase = 'settled', report = ?", (msgspec.json.encode(report), report.attempt_id), durable=True
        )

    def record_dropped(self, spec: AttemptSpec) -> None:
        """The server no longer wants to hear of it. Command and environment, which may hold secrets, go."""
        bare = msgspec.structs.replace(spec, command="", args=[], env={})
        self._update(
            "dropped_at = ?, spec = ?",
            (self._clock(), msgspec.json.encode(bare), spec.attempt_id),
            durable=True,
        )

    def revive(self, attempt_id: str) -> None:
        """The server asks again for a forgotten attempt: report its result once more."""
        self._update("dropped_at = NULL", (attempt_id,))

    def attempts(self) -> list[AttemptRecord]:
        """Every attempt that is not forgotten, oldest first."""
        with self._lock:
            rows = self._db.execute(f"{_SELECT} WHERE dropped_at IS NULL ORDER BY rowid").fetchall()
        return [_record(row) for row in rows]

    def find(self, attempt_id: str) -> AttemptRecord | None:
        """One attempt, forgotten or not."""
        with self._lock:
            row = self._db.execute(f"{_SELECT} WHERE attempt_id = ?", (attempt_id,)).fetchone()
        return _record(row) if row is not None else None

    def purge(self) -> int:
        """Delete the rows of attempts forgotten long ago. Returns how many."""
        with self._writing(durable=False) as db:
            return db.execute(
                "DELETE FROM attempts WHERE dropped_at < ?", (self._clock() - TOMBSTONE_S,)
            ).rowcount

    def record_account(self, record: AccountRecord) -> None:
        """An account's latest state."""
        with self._writing(durable=True) as db:
            db.execute(
                "INSERT OR REPLACE INTO accounts (name, allocation_id, phase, detail) VALUES (?, ?, ?, ?)",
                (record.name, record.allocation_id, record.phase, record.detail),
            )

    def forget_account(self, name: str, allocation_id: str) -> None:
        """Nobody asks about this account any more."""
        with self._writing(durable=True) as db:
            db.execute("DELETE FROM accounts WHERE name = ? AND allocation_id = ?", (name, allocation_id))

    def accounts(self) -> list[AccountRecord]:
        """Every account with a recorded state."""
        with self._lock:
            rows = self._db.execute(
                "SELECT name, allocation_id, phase, detail FROM accounts ORDER BY name"
            ).fetchall()
        return [AccountRecord(*row) for row in rows]

    def _prepare(self, path: Path) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version not in {0, SCHEMA_VERSION}:
            raise sqlite3.DatabaseError(
                f"its version is {version}, this agent reads {SCHEMA_VERSION}: {path.name} is of a newer agent"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA busy_timeout = 5000")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _update(
        self, assignments: str, values: tuple[str | bytes | float | None, ...], *, durable: bool = False
    ) -> None:
        """``assignments`` is one of the literals above, never input; the last value is the attempt id."""
        with self._writing(durable=durable) as db:
            db.execute(f"UPDATE attempts SET {assignments} WHERE attempt_id = ?", values)  # noqa: S608 — see above

    @contextmanager
    def _writing(self, *, durable: bool) -> Generator[sqlite3.Connection]:
        """One transaction; ``durable`` waits until it is on the disk."""
        with self._lock:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


_Row = tuple[
    bytes,
    AttemptPhase,
    bytes | None,
    float | None,
    bytes | None,
    int,
    int,
    bytes | None,
    bytes | None,
    float | None,
]


def _record(row: _Row) -> AttemptRecord:
    spec, phase, process, started_at, ended, offset, final, artifacts, report, dropped_at = row
    return AttemptRecord(
        spec=msgspec.json.decode(spec, type=AttemptSpec),
        phase=phase,
        process=msgspec.json.decode(process, type=ProcessIdentity) if process else None,
        started_at=started_at,
        exit=msgspec.json.decode(ended, type=AttemptExit) if ended else None,
        log_offset=offset,
        log_final=bool(final),
        artifacts=msgspec.json.decode(artifacts, type=list[ArtifactFile]) if artifacts is not None else None,
        report=msgspec.json.decode(report, type=AttemptReport) if report else None,
        dropped=dropped_at is not None,
    )
