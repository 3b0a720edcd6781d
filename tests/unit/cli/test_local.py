"""``up``, ``down``, ``status``, ``demo`` and ``logs``: what is refused before anything is started or made."""

import subprocess
import sys
from pathlib import Path

import pytest

from remotegpu.agent import settings
from remotegpu.cli.client.logs import TASK_ID
from remotegpu.cli.local import MAX_SIMULATED_GPUS
from remotegpu.cli.main import run
from remotegpu.local.plan import SERVICES, STEPS, SUPERVISOR

IN_A_DATA_DIR = (
    ["up"],
    ["up", "--detach"],
    ["down"],
    ["status"],
    ["demo", "--once"],
    ["logs"],
    ["logs", "server"],
)


@pytest.mark.parametrize("command", IN_A_DATA_DIR, ids=" ".join)
@pytest.mark.parametrize("below", ["", "data"])
def test_a_file_in_place_of_the_data_directory_gets_one_message(
    command: list[str], below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    assert run([*command, "--data-dir", str(file / below)]) == 13
    expected = f"remotegpu: {file} is a file, expected a directory. Choose another --data-dir.\n"
    assert capsys.readouterr().err == expected
    assert file.read_text() == "kept"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Where a platform kept its logs."""
    folder = tmp_path / "data" / "logs"
    folder.mkdir(parents=True)
    (folder / "s3.log").write_text("of s3\n")
    (folder / "server.log").write_text("of the server\n")
    return folder


@pytest.mark.parametrize("name", ["WRONG", "objects", "../secrets/jwt_secret", "abc", ""])
@pytest.mark.parametrize("follow", [[], ["-f"]])
def test_logs_of_an_unknown_name_is_wrong_usage(
    name: str, follow: list[str], logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["logs", name, *follow, "--data-dir", str(logs.parent)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{name!r} names no service of the platform and no task" in said.err
    assert ", ".join(SERVICES) in said.err


def test_logs_of_one_service_and_of_all(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["logs", "s3", "--data-dir", str(logs.parent)]) == 0
    assert capsys.readouterr().out == "of s3\n"
    assert run(["logs", "--data-dir", str(logs.parent)]) == 0
    assert capsys.readouterr().out == "==> s3 <==\nof s3\n==> server <==\nof the server\n"


@pytest.mark.parametrize("follow", [[], ["-f"]])
def test_logs_of_a_service_that_never_ran_here_says_so(
    follow: list[str], logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["logs", "agent", *follow, "--data-dir", str(logs.parent)]) == 3
    assert f"there is no log of agent in {logs}" in capsys.readouterr().err


def test_the_help_names_the_services_and_none_looks_like_a_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["logs", "--help"]) == 0
    assert ", ".join(SERVICES) in " ".join(capsys.readouterr().out.split())
    assert not [name for name in (*SERVICES, *STEPS, SUPERVISOR) if TASK_ID.fullmatch(name)]


OUT_OF_RANGE = (
    (["up", "--simulate-gpus", "-3"], "--simulate-gpus"),
    (["up", "--simulate-gpus=65"], "--simulate-gpus"),
    (["up", "--detach", "--simulate-gpus=65"], "--simulate-gpus"),
    (["up", "--port", "0"], "--port"),
    (["up", "--port", "65536"], "--port"),
    (["demo", "--port", "0"], "--port"),
    (["demo", "--port", "99999"], "--port"),
)


@pytest.mark.parametrize(("command", "option"), OUT_OF_RANGE, ids=[" ".join(c) for c, _ in OUT_OF_RANGE])
def test_an_option_out_of_range_is_wrong_usage_and_makes_nothing(
    command: list[str], option: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "remotegpu.cli.main", *command, "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert option in done.stderr
    assert "Must be" in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_up_allows_as_many_simulated_gpus_as_the_agent() -> None:
    assert MAX_SIMULATED_GPUS == settings.MAX_SIMULATED_GPUS
