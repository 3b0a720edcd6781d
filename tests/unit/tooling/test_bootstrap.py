"""A fresh machine gets its environment, or one clear message."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bootstrap
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without environment or tools."""
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "TOOLS", tmp_path / ".tools")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / ".venv/.bootstrapped")
    return tmp_path


def test_without_uv_pip_and_venv_one_message_says_what_to_install(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(clone))
    monkeypatch.setattr(bootstrap, "runs", lambda _command: False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert bootstrap.main() == 1
    message = capsys.readouterr().err
    assert "apt-get install python3-venv" in message
    assert len(message.splitlines()) == 2
    assert not (clone / ".venv").exists()


def test_root_on_debian_installs_venv_and_goes_on(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Debian where python3 came without pip and ensurepip."""
    installed: list[bool] = []

    def runs(command: list[str]) -> bool:
        return "venv" in command and bool(installed)

    monkeypatch.setattr(bootstrap, "runs", runs)
    monkeypatch.setattr(bootstrap, "install_debian_venv", lambda: installed.append(True) or True)
    assert bootstrap.find_pip() == [str(clone / ".tools/pip/bin/python"), "-m", "pip"]


def test_environment_is_current_until_the_lock_file_changes(clone: Path) -> None:
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    wanted = bootstrap.fingerprint()
    assert not bootstrap.is_current(wanted)
    bootstrap.STAMP.write_text(wanted)
    assert bootstrap.is_current(bootstrap.fingerprint())
    with (clone / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert not bootstrap.is_current(bootstrap.fingerprint())


def test_environment_whose_python_was_removed_is_made_anew(clone: Path) -> None:
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(clone / "gone")
    bootstrap.STAMP.write_text(bootstrap.fingerprint())
    assert not bootstrap.is_current(bootstrap.fingerprint())


def test_failed_install_leaves_no_stamp(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = clone / "uv"
    broken.write_text("#!/bin/sh\nexit 7\n")
    broken.chmod(0o755)
    assert bootstrap.install(str(broken), "wanted") == 1
    assert "ended with 7" in capsys.readouterr().err
    assert not bootstrap.STAMP.exists()


@pytest.mark.parametrize(
    ("output", "version"), [("uv 0.13.9 (abc)", (0, 13, 9)), ("uv 0.4.0", (0, 4, 0)), ("nonsense", ())]
)
def test_uv_version_is_read(tmp_path: Path, output: str, version: tuple[int, ...]) -> None:
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\necho '{output}'\n")
    program.chmod(0o755)
    assert bootstrap.uv_version(str(program)) == version


def test_old_python_only_is_named(tmp_path: Path) -> None:
    """The shell part: no Python that is new enough answers."""
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    script = (ROOT / "scripts/bootstrap").read_text().replace("/usr/bin/python3", str(tmp_path / "absent"))
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/bootstrap").write_text(script)
    (tmp_path / "dirname").symlink_to(shutil.which("dirname") or "/usr/bin/dirname")
    done = subprocess.run(
        ["/bin/sh", str(tmp_path / "scripts/bootstrap")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "found Python 3.9.2, expected Python 3.11 or newer" in done.stderr


def test_lock_file_names_no_package_index() -> None:
    for name in ("requirements.lock", "scripts/uv.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert "--index" not in text
        assert all("--hash=sha256:" in line or "==" in line for line in text.splitlines() if line.strip())
