"""``up``, ``down``, ``status``, ``demo`` and ``logs``: what is refused before anything is started or made."""

from pathlib import Path

import pytest

from remotegpu.cli.main import run

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
