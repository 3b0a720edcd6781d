"""What all of ``remotegpu backups`` shares. Exit status: 0 done, 1 failed, 2 wrong use, 143 told to end."""

import signal
from collections.abc import Callable
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, Parameter

from remotegpu.cli.output import print_json, print_note
from remotegpu.kit.environment import SettingsError

if TYPE_CHECKING:
    from remotegpu.site.backups.settings import Settings

app = App(name="backups", help="Backups of a site: make, check, restore, try out.", help_format="plaintext")

FAILED, WRONG_USE, TERMINATED = 1, 2, 143

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")]


def guarded(work: "Callable[[Settings], int]", *, json_output: bool) -> int:
    """Run ``work`` with the settings; what can go wrong becomes a message and an exit status."""
    from remotegpu.site.backups import settings
    from remotegpu.site.backups.errors import BackupError, NotGoodError, UsageError
    from remotegpu.site.lock import SiteBusyError

    signal.signal(signal.SIGTERM, _end)
    try:
        return work(settings.load())
    except (SettingsError, UsageError) as error:
        return _complain(str(error), WRONG_USE, json_output=json_output)
    except NotGoodError as error:
        return _complain(str(error), FAILED, json_output=False)
    except (BackupError, SiteBusyError) as error:
        return _complain(str(error), FAILED, json_output=json_output)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """As an exception, so that what was started is ended and what was begun is cleared away."""
    raise SystemExit(TERMINATED)


def _complain(message: str, status: int, *, json_output: bool) -> int:
    if json_output:
        print_json({"ok": False, "error": message})
    print_note(f"remotegpu: {message}")
    return status


def moment(at: datetime | None) -> str:
    """For people."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "-"
