"""Submitting a task, following its log, and the status the command ends with."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from remotegpu.cli.client.run import exit_status
from remotegpu.cli.client.submission import choose_work, parse_env, parse_timeout
from remotegpu.cli.main import run
from remotegpu.client.errors import UsageError
from remotegpu.client.logs import LogEnd

from .conftest import MACHINE, StubServer

TASK_ID = "22222222-2222-4222-8222-222222222222"
TASK = {
    "id": TASK_ID,
    "name": "job",
    "kind": "shell",
    "state": "queued",
    "machine_id": MACHINE["id"],
    "machine_name": "gpu-1",
    "created_at": "2026-11-24T06:30:00Z",
}
STREAM = f"/tasks/{TASK_ID}/log/stream"


def event(name: str, **data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def stream_of(*parts: bytes) -> Callable[[web.Request, Any], Any]:
    async def answer(request: web.Request, _body: Any) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        return response

    return answer


@pytest.fixture
def with_task(signed_in: StubServer) -> StubServer:
    signed_in.reply("POST", "/tasks", TASK, 201)
    signed_in.reply("GET", f"/tasks/{TASK_ID}", {**TASK, "state": "succeeded", "exit_code": 0})
    return signed_in


def end(state: str = "succeeded", code: int | None = 0) -> bytes:
    return event("end", state=state, exit_code=code, truncated=False)


def test_log_is_shown_as_it_comes_and_the_status_is_the_task_s(
    with_task: StubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = event("chunk", offset=0, text="epoch 1\n损失 0.1\n", next_offset=20)
    with_task.route("GET", STREAM, stream_of(b": hello\n\n", chunk, end("failed", 7)))
    assert (
        run(
            [
                "run",
                "-m",
                "gpu-1",
                "--gpus",
                "1",
                "-e",
                "A=1=2",
                "--timeout",
                "2h",
                "--",
                "train",
                "-x",
                "a b",
            ]
        )
        == 7
    )
    assert capsys.readouterr().out == "epoch 1\n损失 0.1\n"
    (body,) = with_task.calls("POST", "/tasks")
    assert body == {
        "machine_id": MACHINE["id"],
        "name": "train",
        "kind": "shell",
        "command": '"$@"',
        "args": ["train", "-x", "a b"],
        "env": {"A": "1=2"},
        "timeout_s": 7200,
        "gpus": 1,
    }


def test_dropped_stream_goes_on_at_the_next_byte(
    with_task: StubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    first = stream_of(event("chunk", offset=0, text="one ", next_offset=4))
    second = stream_of(event("chunk", offset=4, text="two", next_offset=7), end())

    def stream(request: web.Request, body: Any) -> Any:
        asked.append(request.query["offset"])
        return (first if len(asked) == 1 else second)(request, body)

    with_task.route("GET", STREAM, stream)
    assert run(["run", "-m", "gpu-1", "--", "job"]) == 0
    assert asked == ["0", "4"]
    assert capsys.readouterr().out == "one two"


def test_long_line_of_log_arrives_whole(with_task: StubServer, capsys: pytest.CaptureFixture[str]) -> None:
    text = "x" * 2_000_000
    with_task.route(
        "GET", STREAM, stream_of(event("chunk", offset=0, text=text, next_offset=len(text)), end())
    )
    assert run(["run", "-m", "gpu-1", "--", "job"]) == 0
    assert capsys.readouterr().out == text


def test_detach_prints_the_id_and_follows_nothing(
    with_task: StubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", "-m", "gpu-1", "--detach", "--", "job"]) == 0
    assert capsys.readouterr().out.strip() == TASK_ID
    assert not with_task.calls("GET", STREAM)


def test_conflict_has_its_own_status(with_task: StubServer, capsys: pytest.CaptureFixture[str]) -> None:
    with_task.problem("POST", "/tasks", 409, "machine_not_available", "the lease ended at noon")
    assert run(["run", "-m", "gpu-1", "--", "job"]) == 3
    assert "the lease ended at noon" in capsys.readouterr().err


def test_refused_field_names_what_is_expected(
    with_task: StubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    errors = [{"field": "gpus", "found": 9, "expected": "0 to 2"}]
    with_task.problem("POST", "/tasks", 422, "validation_failed", "gpus is out of range", errors=errors)
    assert run(["run", "-m", "gpu-1", "--gpus", "9", "--", "job"]) == 1
    assert "expected: gpus: 0 to 2" in capsys.readouterr().err


def wait_for_stop(server: StubServer) -> None:
    deadline = time.monotonic() + 20
    while not server.calls("POST", f"/tasks/{TASK_ID}/stop") and time.monotonic() < deadline:
        time.sleep(0.02)


def test_ctrl_c_asks_to_stop_and_keeps_following(with_task: StubServer) -> None:
    async def until_stopped(request: web.Request, _body: Any) -> web.StreamResponse:
        import asyncio

        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("chunk", offset=0, text="started\n", next_offset=8))
        await asyncio.to_thread(wait_for_stop, with_task)
        await response.write(event("chunk", offset=8, text="cleaning up\n", next_offset=20))
        await response.write(end("stopped", -15))
        return response

    with_task.route("GET", STREAM, until_stopped)
    with_task.reply("POST", f"/tasks/{TASK_ID}/stop", TASK)
    command = [sys.executable, "-m", "remotegpu.cli.main", "run", "-m", "gpu-1", "--", "job"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.read() == "cleaning up\n"
        assert process.wait(20) == 130


def test_second_ctrl_c_leaves_the_task_to_itself(with_task: StubServer) -> None:
    async def forever(request: web.Request, _body: Any) -> web.StreamResponse:
        import asyncio

        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("chunk", offset=0, text="started\n", next_offset=8))
        await asyncio.sleep(20)
        return response

    with_task.route("GET", STREAM, forever)
    with_task.reply("POST", f"/tasks/{TASK_ID}/stop", TASK)
    command = [sys.executable, "-m", "remotegpu.cli.main", "run", "-m", "gpu-1", "--", "job"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "started\n"
        os.kill(process.pid, signal.SIGINT)
        wait_for_stop(with_task)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(10) == 130
        assert f"remotegpu logs {TASK_ID} -f" in process.stderr.read()


@pytest.mark.parametrize(
    ("state", "code", "status"),
    [
        ("succeeded", 0, 0),
        ("failed", 3, 3),
        ("failed", -9, 137),
        ("failed", None, 1),
        ("timed_out", -15, 124),
        ("stopped", -15, 130),
        ("cancelled", None, 130),
    ],
)
def test_exit_status(state: str, code: int | None, status: int) -> None:
    assert exit_status(LogEnd(state=state, exit_code=code)) == status


def test_python_file_is_sent_as_source_with_its_arguments(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text("print('hi')\n")
    work = choose_work(file, None, ["--epochs", "3"])
    assert (work.kind, work.command, work.args, work.name) == (
        "python",
        "print('hi')\n",
        ["--epochs", "3"],
        "train",
    )


def test_script_needs_its_interpreter_line(tmp_path: Path) -> None:
    file = tmp_path / "job.sh"
    file.write_text("echo hi\n")
    with pytest.raises(UsageError, match="begins without #!"):
        choose_work(None, file, [])


def test_nothing_to_run_and_two_things_to_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to run"):
        choose_work(None, None, [])
    with pytest.raises(UsageError, match="both"):
        choose_work(tmp_path / "a", tmp_path / "b", [])
    with pytest.raises(UsageError, match="cannot be read"):
        choose_work(tmp_path / "absent.py", None, [])


def test_one_word_is_a_shell_line() -> None:
    work = choose_work(None, None, ["nvidia-smi | tee out"])
    assert (work.command, work.args, work.name) == ("nvidia-smi | tee out", [], "nvidia-smi")


@pytest.mark.parametrize("text", ["", "1y", "-5", "0", "1h30"])
def test_bad_timeout_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_timeout(text)


def test_environment_needs_name_and_value() -> None:
    assert parse_env(["A=", "B=x=y"]) == {"A": "", "B": "x=y"}
    with pytest.raises(UsageError):
        parse_env(["A"])
