"""Tasks get a Python that their account can really run."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from remotegpu.local import interpreter
from remotegpu.local.account import Account
from remotegpu.local.layout import Layout

STRANGER = Account(name="nobody", uid=65534, gid=65534)


@pytest.fixture
def layout() -> Iterator[Layout]:
    """In a folder that other accounts may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="remotegpu-python-") as folder:
        Path(folder).chmod(0o711)
        yield Layout(Path(folder))


def test_without_accounts_tasks_run_with_our_own_python(layout: Layout) -> None:
    assert interpreter.for_tasks(layout, sys.executable, None) == sys.executable
    assert not layout.runtime.exists()


def test_copy_runs_numpy_as_a_stranger_and_is_made_once(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = layout.root / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(interpreter, "needed", lambda _python: [closed])
    program = interpreter.for_tasks(layout, sys.executable, STRANGER)
    assert program.startswith(str(layout.runtime))
    who = {"user": STRANGER.uid, "group": STRANGER.gid, "extra_groups": []} if os.geteuid() == 0 else {}
    code = "import numpy, sqlite3, ssl; print(numpy.arange(3).sum())"
    done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False, cwd="/", **who)
    assert (done.stdout, done.stderr) == ("3\n", "")
    made = Path(program).stat().st_ino
    assert interpreter.for_tasks(layout, sys.executable, STRANGER) == program
    assert Path(program).stat().st_ino == made
