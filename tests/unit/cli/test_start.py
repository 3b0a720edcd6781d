"""The command starts quickly, because it loads nothing it does not need."""

import subprocess
import sys

import pytest

from remotegpu.cli.main import COMMANDS, HIDDEN, run

HEAVY = (
    "litestar",
    "sqlalchemy",
    "asyncssh",
    "aiohttp",
    "uvicorn",
    "cryptography",
    "psycopg",
    "numpy",
    "asyncio",
)


def test_importing_the_command_loads_no_program() -> None:
    code = f"import sys, remotegpu.cli.main; print([m for m in {HEAVY!r} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_help_loads_no_program_and_takes_little_processor_time() -> None:
    code = (
        "import resource, sys\n"
        "from remotegpu.cli.main import run\n"
        "status = run(['--help'])\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        f"print(status, [m for m in {HEAVY[:-1]!r} if m in sys.modules], used.ru_utime + used.ru_stime, sep='|')\n"
    )
    seconds = []
    for _ in range(3):
        output = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        status, loaded, used = output.strip().splitlines()[-1].split("|")
        assert (status, loaded) == ("0", "[]")
        seconds.append(float(used))
    assert min(seconds) < 0.3


@pytest.mark.parametrize("name", [name for name, *_ in COMMANDS] + [name for name, _ in HIDDEN])
def test_every_command_loads_and_describes_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"remotegpu {name}" in capsys.readouterr().out


def test_unknown_command_is_a_usage_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "remotegpu.cli.main", "machine"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "machines" in done.stderr


def test_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    from remotegpu import __version__

    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
