"""How the last attempt at each job ended, on disk, for the metrics and for whoever asks: also those that failed."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from remotegpu.kit import files
from remotegpu.kit.clock import utc_now

FOLDER = ".state"
OFFSITE, OFFSITE_OBJECTS = "offsite", "offsite_objects"
"""Jobs: sending backups elsewhere, and sending objects, which takes longer and has its own time."""


class Outcome(msgspec.Struct, kw_only=True, frozen=True):
    """``succeeded_at`` and ``failed_at``: the latest of either. ``error``: why the latest failure was one."""

    job: str
    duration_s: float = 0.0
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    error: str = ""

    @property
    def was_tried(self) -> bool:
        return self.failed_at is not None or self.succeeded_at is not None

    @property
    def is_well(self) -> bool:
        """Whether the last attempt succeeded."""
        if self.failed_at is None:
            return True
        return self.succeeded_at is not None and self.succeeded_at > self.failed_at


@contextmanager
def recorded(root: Path, job: str) -> Generator[None]:
    """Write down how the body ends, and let through what it raises."""
    began = utc_now()
    try:
        yield
    except Exception as error:
        before = read(root, job)
        _write(root, msgspec.structs.replace(before, failed_at=utc_now(), error=str(error)[:2000]))
        raise
    before = read(root, job)
    now = utc_now()
    _write(
        root,
        msgspec.structs.replace(before, succeeded_at=now, duration_s=(now - began).total_seconds(), error=""),
    )


def read(root: Path, job: str) -> Outcome:
    """Nothing known: an outcome without times."""
    try:
        return msgspec.json.decode(_path(root, job).read_bytes(), type=Outcome)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Outcome(job=job)


def _write(root: Path, outcome: Outcome) -> None:
    files.make_directory(root / FOLDER)
    files.write_private(_path(root, outcome.job), msgspec.json.encode(outcome))


def _path(root: Path, job: str) -> Path:
    return root / FOLDER / f"{job}.json"
