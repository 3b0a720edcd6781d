"""What the shell completes once ``remotegpu --install-completion`` was run: also below a group, and options."""

import subprocess
from pathlib import Path

import pytest

from remotegpu.cli.main import run

ASK = """
source "$SCRIPT"
COMP_LINE=$1
read -ra COMP_WORDS <<< "$1"
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
COMP_POINT=${#COMP_LINE}
function=$(complete -p remotegpu | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" remotegpu "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "remotegpu"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(path.parent))
        assert run(["--install-completion", "--shell", "bash", "--output", str(path)]) == 0
    return path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("remotegpu sit", {"site"}),
        ("remotegpu site roll", {"rollback"}),
        ("remotegpu site secrets ro", {"rotate"}),
        ("remotegpu site deploy --dry", {"--dry-run"}),
        ("remotegpu site re", {"render", "releases", "restore"}),
    ],
)
def test_bash_completes_commands_and_options(script: Path, typed: str, offered: set[str]) -> None:
    done = subprocess.run(
        ["bash", "-c", ASK, "ask", typed],
        env={"SCRIPT": str(script), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == offered
