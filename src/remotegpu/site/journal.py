"""What was done to a site, step by step, on disk before the next step begins: a crash is gone on from, not guessed at.

One JSON line per word, never changed. A line that a crash cut off is the last one, and counts as not written.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

FILE_NAME = "journal.jsonl"

State = Literal["begun", "done", "failed"]


class Entry(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One word on one step of one run. ``run`` groups them, ``what`` says what the run is, such as ``deploy``."""

    at: datetime
    run: str
    what: str
    step: str
    state: State
    detail: str = ""


class Run(msgspec.Struct, kw_only=True, frozen=True):
    """Everything said of one run, oldest first."""

    run: str
    what: str
    entries: tuple[Entry, ...]

    @property
    def is_over(self) -> bool:
        """Whether it came to its end, good or bad: a crashed one did not."""
        return self.entries[-1].step == END

    @property
    def done(self) -> frozenset[str]:
        """Steps that need not be done again."""
        return frozenset(entry.step for entry in self.entries if entry.state == "done")


END = "end"
"""The last step of every run: ``done`` or ``failed``."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


class Journal:
    """The record in ``directory``. Writers hold the site's lock."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME

    def write(self, entry: Entry) -> None:
        """Durable when it returns."""
        with self.path.open("ab") as stream:
            if stream.tell() and not self._ends_whole():
                stream.write(b"\n")  # what a crash cut off stays a line of its own, which nobody can read
            stream.write(_encoder.encode(entry) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def entries(self) -> list[Entry]:
        """All that can be read, oldest first."""
        if not self.path.exists():
            return []
        return list(_readable(self.path.read_bytes().splitlines()))

    def runs(self) -> list[Run]:
        """Oldest first."""
        by_run: dict[str, list[Entry]] = {}
        for entry in self.entries():
            by_run.setdefault(entry.run, []).append(entry)
        return [Run(run=run, what=found[0].what, entries=tuple(found)) for run, found in by_run.items()]

    def unfinished(self, *kinds: str) -> Run | None:
        """The latest run of these kinds (``what``) when a crash ended it."""
        runs = [run for run in self.runs() if run.what in kinds]
        return runs[-1] if runs and not runs[-1].is_over else None

    def _ends_whole(self) -> bool:
        with self.path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read() == b"\n"


def _readable(lines: Sequence[bytes]) -> Iterator[Entry]:
    for line in lines:
        try:
            yield _decoder.decode(line)
        except msgspec.MsgspecError:
            continue
