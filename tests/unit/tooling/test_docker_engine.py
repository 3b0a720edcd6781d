"""Whether the stack suite can run, and the reason when it cannot."""

import os
import shutil
from pathlib import Path

import docker_engine
import pytest


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PATH is one folder with a ``docker`` that finds no engine."""
    program(tmp_path, "docker", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!{shutil.which('sh', path=os.defpath)}\n{text}\n")
    file.chmod(0o755)


def test_an_engine_that_answers_is_enough_for_anybody(
    no_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(no_engine, "docker", "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not docker_engine.problem()


def test_without_an_engine_only_root_can_start_one(no_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert docker_engine.problem() == "no Docker engine answers, and only root can start one"
    assert not docker_engine.is_running()
    assert no_engine.is_dir()


def test_root_is_told_which_programs_are_missing(no_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert docker_engine.problem() == (
        "no Docker engine answers, and there is no dockerd nor iptables to start one"
    )
    program(no_engine, "dockerd", "exit 0")
    program(no_engine, "iptables", "exit 0")
    assert not docker_engine.problem()
