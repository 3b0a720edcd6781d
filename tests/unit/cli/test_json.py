"""Every command that reports something reports it as JSON too: one document on stdout, messages on stderr."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App

from remotegpu.agent import enrolment
from remotegpu.cli.main import COMMANDS, build_app, run
from remotegpu.protocol.enrolment import EnrolResponse
from remotegpu.server.migrations import run as migrations

WITHOUT_JSON = {
    "ssh": "a shell, or the output of a program on the machine",
    "logs": "the text of a log",
    "server run": "serves until it is stopped; its log is JSON",
    "server worker": "works until it is stopped; its log is JSON",
    "server openapi": "prints a JSON document anyway",
    "backups schedule": "works until it is stopped; its log is JSON",
    "agent run": "runs until it is stopped; its log is JSON",
}


def commands() -> list[str]:
    """Each command that does something; a group of them only groups."""
    app = build_app()
    return [command for name, *_ in COMMANDS for command in ends(app[name], name)]


def ends(app: App, name: str) -> Iterator[str]:
    """``name`` itself, or what is below it."""
    below = [word for word in app if not word.startswith("-")]
    if not below:
        yield name
    for word in below:
        yield from ends(app[word], f"{name} {word}")


@pytest.mark.parametrize("command", commands())
def test_a_command_speaks_json_or_is_listed_with_a_reason(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--help"]) == 0
    speaks = "--json" in capsys.readouterr().out
    assert speaks != (command in WITHOUT_JSON), WITHOUT_JSON.get(command, "neither --json nor a reason")


def test_no_reason_outlives_its_command() -> None:
    assert set(WITHOUT_JSON) <= set(commands())


def test_down_says_whether_anything_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["down", "--json", "--data-dir", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": False, "data_dir": str(tmp_path)}


def test_migrate_says_the_revision(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = migrations.Migrated(revision="0042_pre_x", applied=("0042_pre_x",))
    monkeypatch.setattr(migrations, "upgrade", lambda *_, **__: done)
    assert run(["server", "migrate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"revision": "0042_pre_x", "applied": ["0042_pre_x"]}


def test_enrolment_says_machine_and_file_and_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = EnrolResponse(machine_id="m-1", agent_token="rgn_secret")
    monkeypatch.setattr(enrolment, "enrol", lambda _plan: answer)
    file = tmp_path / "agent.env"
    command = ["agent", "enroll", "--server", "https://gpu.example.com", "--token-file", "-", "--json"]
    assert run([*command, "--env-file", str(file), "--data-dir", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"machine_id": "m-1", "env_file": str(file)}
