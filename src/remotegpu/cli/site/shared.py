"""What the commands of ``remotegpu site`` have in common.

Exit status: 0 done, 1 failed, 2 the file cannot be used, 3 somebody else changes the site.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from remotegpu.cli.output import print_json, print_note

if TYPE_CHECKING:
    from remotegpu.site.place import Place

FAILED, UNUSABLE, BUSY = 1, 2, 3

ConfigPath = Annotated[Path, Parameter(name="--config", help="The site's file.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")]
DEFAULT = Path("remotegpu.yaml")


def refused(error: Exception, *, json_output: bool) -> int:
    """Every problem of a :class:`~remotegpu.site.config.problems.ConfigError`."""
    from remotegpu.site.config.problems import ConfigError

    assert isinstance(error, ConfigError)
    if json_output:
        print_json({"ok": False, "problems": [asdict(problem) for problem in error.problems]})
    else:
        print_note(str(error))
    return UNUSABLE


def failed(error: Exception, *, json_output: bool, status: int = FAILED) -> int:
    if json_output:
        print_json({"ok": False, "error": str(error)})
    else:
        print_note(f"remotegpu: {error}")
    return status


def guarded(config: Path, act: Callable[["Place"], int], *, json_output: bool) -> int:
    """Do ``act`` with the site; what can go wrong becomes a message and an exit status."""
    from remotegpu.site import place
    from remotegpu.site.config.problems import ConfigError
    from remotegpu.site.deploying.deployment import DeployError
    from remotegpu.site.images import ImageError
    from remotegpu.site.lock import SiteBusyError
    from remotegpu.site.runner import CommandError

    try:
        return act(place.at(config))
    except ConfigError as error:
        return refused(error, json_output=json_output)
    except SiteBusyError as error:
        return failed(error, json_output=json_output, status=BUSY)
    except (DeployError, CommandError, ImageError, OSError) as error:
        return failed(error, json_output=json_output)


class Steps:
    """Progress on stderr: what is being done, and when it was done."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, step: str, said: str) -> None:
        seconds = time.monotonic() - self._began
        print_note(f"{seconds:7.1f} s  {step:<12} {said}")
