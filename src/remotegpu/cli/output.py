"""What the command line prints: tables or JSON on stdout, errors on stderr."""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from rich.console import Console
from rich.table import Table

from remotegpu.client.errors import ClientError


def print_json(value: object) -> None:
    """One indented JSON document. ``value``: anything msgspec encodes, raw JSON included."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_note(text: str) -> None:
    """Progress and hints go to stderr, so that stdout stays what was asked for."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_error(error: ClientError) -> None:
    """Found, expected, what to do next: each on its own line."""
    lines = [f"remotegpu: {error.found}"]
    if error.expected:
        lines.append(f"  expected: {error.expected}")
    if error.next_step:
        lines.append(f"  do next:  {error.next_step}")
    print_note("\n".join(lines))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """A plain table, cells never wrapped when piped; ``empty`` is what to say when there are no rows."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=not sys.stdout.isatty())
    rows = list(rows)
    if not rows:
        print_note(empty)
        return
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, markup=False).print(table)


def show_bytes(count: int | None) -> str:
    """``80.0 GiB``; a dash where nothing is known."""
    if count is None:
        return "-"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def show_time(text: str | None) -> str:
    """RFC 3339 UTC → this computer's time zone, to the second."""
    if not text:
        return "-"
    moment = datetime.fromisoformat(text)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def show_age(text: str | None, now: datetime | None = None) -> str:
    """How long ago: ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    if not text:
        return "-"
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds()
    for limit, divisor, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, seconds) / divisor:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
