"""The Python that customers' tasks run with on this computer.

Ours may lie where another account cannot go (a clone or a pyenv under ``/root``). Then tasks get a copy of it, with
NumPy for the example, in the data directory; a small script starts it with its libraries.
"""

import os
import shutil
import sys
import sysconfig
from importlib.metadata import Distribution
from pathlib import Path

from remotegpu.kit import files
from remotegpu.local import account as accounts
from remotegpu.local.account import Account
from remotegpu.local.layout import Layout

PACKAGES = ("numpy",)
"""What the example needs. A customer's own packages belong into the customer's own environment."""

LEFT_OUT = ("site-packages", "test", "tests", "idlelib", "turtledemo", "tkinter", "config-*")
START_SCRIPT = """\
#!/bin/sh
# Starts the copied Python: its shared library and packages lie beside it.
here={folder}
LD_LIBRARY_PATH="$here/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
PYTHONPATH="$here/packages${{PYTHONPATH:+:$PYTHONPATH}}"
export LD_LIBRARY_PATH PYTHONPATH
exec {program} "$@"
"""


def for_tasks(layout: Layout, python: str, account: Account | None) -> str:
    """``python`` itself where ``account`` can run it with its packages, else a copy. None: tasks run as ourselves."""
    if account is None or all(accounts.blocking_ancestor(path, account) is None for path in needed(python)):
        return python
    folder = layout.runtime / copy_name(python)
    if not (folder / "python3").exists():
        files.make_directory(layout.runtime, files.TRAVERSABLE_DIR)
        copy(Path(python).resolve(), folder)
    return str(folder / "python3")


def needed(python: str) -> list[Path]:
    """What another account must reach to run this interpreter and import the packages."""
    return [
        Path(python).parent.resolve(),
        Path(python).resolve(),
        Path(sysconfig.get_path("stdlib")).resolve(),
    ] + [path for path in package_folders() if path.suffix != ".libs"]


def package_folders() -> list[Path]:
    """Each package's folder, and the shared libraries that its wheel put beside it."""
    found: list[Path] = []
    for name in PACKAGES:
        place = Path(str(Distribution.from_name(name).locate_file(name))).resolve()
        found += [place, *place.parent.glob(f"{name}.libs")]
    return found


def copy_name(python: str) -> str:
    """Changes with the interpreter and the packages, so that an upgrade is copied anew."""
    program = Path(python).resolve().stat()
    versions = "-".join(f"{name}{Distribution.from_name(name).version}" for name in PACKAGES)
    version = ".".join(str(part) for part in sys.version_info[:3])
    return f"python-{version}-{versions}-{program.st_size}-{program.st_mtime_ns}"


def copy(program: Path, folder: Path) -> None:
    """Copies interpreter, standard library and packages, then moves them into place at once."""
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "bin").mkdir(parents=True)
    shutil.copy2(program, staging / "bin" / program.name)
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(
        library, staging / "lib" / library.name, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True
    )
    for shared in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        shutil.copy2(shared, staging / "lib" / shared.name, follow_symlinks=False)
    for package in package_folders():
        shutil.copytree(package, staging / "packages" / package.name, symlinks=True)
    script = START_SCRIPT.format(folder=quoted(folder), program=quoted(folder / "bin" / program.name))
    (staging / "python3").write_text(script)
    (staging / "python3").chmod(0o755)
    accounts.open_to_all(staging)
    staging.replace(folder)
    for stale in folder.parent.glob("python-*"):
        if stale != folder:
            shutil.rmtree(stale, ignore_errors=True)


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"
