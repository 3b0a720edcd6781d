"""``demo``: starts the platform on this computer and does the main job once, step by step."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import Parameter

from remotegpu.cli.local import Port
from remotegpu.cli.output import print_note

if TYPE_CHECKING:
    from remotegpu.local.demo.show import Show


def demo(
    *,
    once: Annotated[bool, Parameter(negative=())] = False,
    json: Path | None = None,
    data_dir: Path | None = None,
    port: Port = None,
) -> int:
    """Start the platform on this computer and do its main job once: lease a GPU machine, use it, end the lease.

    Ends with 0 only when every step passed. Without real GPUs the demo asks for simulated ones, by name.

    Parameters
    ----------
    once
        End after the report instead of leaving the console running.
    json
        Write the report to this file.
    data_dir
        Where everything is kept (default: the user's data directory).
    """
    from remotegpu.local.demo.show import Show
    from remotegpu.local.errors import LocalError

    show = Show(data_dir, port)
    previous = signal.signal(signal.SIGTERM, end_on_signal)
    try:
        show.check()
        ok = perform_and_save(show, json)
        if ok and not once:
            show.stay()
    except LocalError as error:
        print_note(f"remotegpu: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    finally:
        show.close()
        signal.signal(signal.SIGTERM, previous)
    return 0 if ok else 1


def perform_and_save(show: "Show", json: Path | None) -> bool:
    """The report is written whatever happened; a failed run is the one somebody wants to read."""
    try:
        return show.perform()
    finally:
        if json is not None:
            show.save(json)


def end_on_signal(number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends the demo as Ctrl-C does: the platform is stopped on the way out."""
    sys.exit(128 + number)
