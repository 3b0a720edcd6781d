"""Commands are run to their end, in bounded time, and never show a secret."""

import signal
import sys
import time
from pathlib import Path

import pytest

from remotegpu.site.runner import NOT_FOUND, TIMED_OUT, Command, CommandError, attempt, run


def python(code: str, *arguments: str, **more: object) -> Command:
    return Command(argv=(sys.executable, "-c", code, *arguments), **more)  # pyright: ignore[reportArgumentType]


def test_output_is_kept_in_the_order_it_came(tmp_path: Path) -> None:
    code = "import os, sys; os.write(1, b'out '); os.write(2, b'err '); print(os.getcwd(), sys.stdin.read())"
    done = run(python(code, stdin=b"given", directory=tmp_path, env={"LANG": "C.UTF-8"}))
    assert done.output == f"out err {tmp_path} given\n"


def test_a_failure_shows_the_command_and_the_end_of_what_it_said() -> None:
    command = python("print(*range(100), sep='\\n'); raise SystemExit(7)")
    with pytest.raises(CommandError) as caught:
        run(command)
    text = str(caught.value)
    assert "ended with 7" in text
    assert text.endswith("    99")
    assert "    79\n" not in text
    assert attempt(command).code == 7


def test_a_secret_shows_nowhere() -> None:
    command = python(
        "import sys; print(sys.argv[1], sys.argv[2]); raise SystemExit(1)",
        "hunter2-long",
        "hunter2",
        secrets=("hunter2", "hunter2-long", ""),
    )
    with pytest.raises(CommandError) as caught:
        run(command)
    for text in (
        str(caught.value),
        str(command),
        repr(command),
        repr(caught.value),
        caught.value.done.output,
    ):
        assert "hunter2" not in text
    assert caught.value.done.output == "*** ***\n"


def test_what_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(mark)!r}).touch()"
    code = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    )
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"did not end within 0\.5 s"):
        run(python(code, timeout_s=0.5))
    assert attempt(python("import time; time.sleep(60)", timeout_s=0.1)).code == TIMED_OUT
    time.sleep(2.5)
    assert not mark.exists()
    assert time.monotonic() - began < 10


def test_a_program_that_is_not_there_is_named() -> None:
    done = attempt(Command(argv=("no-such-program", "x")))
    assert (done.code, done.output) == (NOT_FOUND, "No such file or directory: no-such-program")


def test_what_is_called_off_may_leave_things_tidy_and_stays_behind_in_no_case(tmp_path: Path) -> None:
    mark, tidy = tmp_path / "began", tmp_path / "tidy"
    code = (
        "import pathlib, signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(tidy)!r}).touch(), sys.exit(0)))\n"
        f"pathlib.Path({str(mark)!r}).touch()\n"
        "time.sleep(60)\n"
    )

    def call_off(*_: object) -> None:
        if mark.exists():
            raise SystemExit(143)

    before = signal.signal(signal.SIGALRM, call_off)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with pytest.raises(SystemExit):
            attempt(python(code))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert tidy.exists()
