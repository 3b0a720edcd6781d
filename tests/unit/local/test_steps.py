"""The first password survives a kill at every point where it is on disk."""

import sys
from pathlib import Path

import pytest

from remotegpu.local import bootstrap, processes
from remotegpu.local.errors import LocalError
from remotegpu.local.layout import Layout

PRINT = "import sys; sys.stdout.write(sys.argv[1]); sys.exit(int(sys.argv[2]))"


def _run(output: Path, text: str, code: int) -> processes.Ended:
    return processes.run_to_file([sys.executable, "-c", PRINT, text, str(code)], output=output, timeout_s=30)


def test_a_printed_secret_is_private_and_appears_whole(tmp_path: Path) -> None:
    output = tmp_path / "first.json"
    assert _run(output, '{"password": "p"}', 0).code == 0
    assert output.read_text() == '{"password": "p"}'
    assert output.stat().st_mode & 0o777 == 0o600


def test_a_failed_command_leaves_no_file(tmp_path: Path) -> None:
    output = tmp_path / "first.json"
    assert _run(output, "half", 3).code == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("left", "kept"), [('{"password": "p"}', True), ('{"passw', False), ("", False)])
def test_what_was_printed_whole_before_a_kill_is_kept(tmp_path: Path, left: str, *, kept: bool) -> None:
    output = tmp_path / "first.json"
    (tmp_path / ".first.json.new").write_text(left)
    processes.finish_file(output)
    assert output.exists() is kept


def test_a_lost_first_password_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path)
    layout.secrets.mkdir()
    monkeypatch.setattr(bootstrap, "sign_in", lambda _port, _password: None)
    with pytest.raises(LocalError, match="remove its data directory and start again"):
        bootstrap.administrator(layout, 1, layout.secrets / "admin_first.json")
