"""What is missing is installed from where the program itself came from."""

import importlib.metadata
from pathlib import Path

import pytest

from remotegpu.cli import main
from remotegpu.local import installing

WHEEL = "file:///srv/dist/remotegpu-0.1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("origin", "by_pipx", "expected"),
    [
        (None, False, "pip install 'remotegpu[local]'"),
        (None, True, "pipx install --force 'remotegpu[local]'"),
        (WHEEL, False, f"pip install 'remotegpu[local] @ {WHEEL}'"),
        (WHEEL, True, f"pipx install --force 'remotegpu[local] @ {WHEEL}'"),
    ],
)
def test_the_command_fits_the_installation(origin: str | None, by_pipx: bool, expected: str) -> None:
    assert installing.command_for("local", origin=origin, by_pipx=by_pipx) == expected


@pytest.mark.parametrize(
    ("noted", "expected"),
    [(f'{{"url": "{WHEEL}", "archive_info": {{}}}}', WHEEL), (None, None), ("{half", None), ("[]", None)],
)
def test_the_origin_is_what_pip_noted(
    noted: str | None, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return noted

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _name: Installed())
    assert installing.origin() == expected


def test_a_missing_package_is_answered_with_the_command_for_the_wheel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(installing, "origin", lambda: WHEEL)
    error = main.missing_package(ModuleNotFoundError("no psycopg", name="psycopg"))
    assert error is not None
    assert error.next_step.endswith(f"install 'remotegpu[local] @ {WHEEL}'")


@pytest.mark.parametrize("mark", ["pipx_metadata.json", "uv-receipt.toml", None])
def test_only_an_environment_that_is_ours_alone_is_completed(
    mark: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installing.sys, "prefix", str(tmp_path))
    monkeypatch.delenv(main.TRIED, raising=False)
    asked: list[str] = []

    def complete(extra: str) -> int:
        asked.append(extra)
        return 0

    monkeypatch.setattr(installing, "complete", complete)
    if mark:
        (tmp_path / mark).touch()
    assert main.completed() is (mark is not None)
    assert main.completed() is False, "not a second time, should something be missing still"
    assert asked == (["local"] if mark else [])
    monkeypatch.delenv(main.TRIED, raising=False)
