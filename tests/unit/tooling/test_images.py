"""What `make images` calls an image, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import images
import pytest

SCRIPT = Path(images.__file__)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_release_has_its_version_as_the_only_tag() -> None:
    made = images.release("v1.2.3", COMMIT, is_dirty=False)
    assert (made.version, made.tags, made.revision) == ("v1.2.3", ("v1.2.3",), COMMIT)


def test_a_development_build_is_named_by_its_commit_and_is_the_latest() -> None:
    made = images.release("", COMMIT, is_dirty=False)
    assert (made.version, made.tags) == ("main-0123456789ab", ("main-0123456789ab", "latest"))


def test_what_is_not_committed_never_passes_for_the_commit() -> None:
    made = images.release("", COMMIT, is_dirty=True)
    assert made.tags[0] == "main-0123456789ab-dirty"
    assert images.release("v1.2.3", COMMIT, is_dirty=True).revision == f"{COMMIT}-dirty"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--version", "1.2.3"], "expected a release such as v1.2.3"),
        (["--version", "latest"], "expected a release such as v1.2.3"),
        (["--base", "debian=x:1"], "NAME one of python, node, nginx, postgres"),
        (["--base", "python"], "expected NAME=IMAGE"),
        (["--only", "backend,console"], "found console, expected some of backend, frontend, postgresql"),
    ],
)
def test_a_mistake_is_named_before_anything_is_built(arguments: list[str], expected: str) -> None:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert expected in done.stderr


def test_without_docker_one_line_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--only", "backend"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "found no `docker` on PATH; do next: install Docker" in done.stderr
    assert "Traceback" not in done.stderr
