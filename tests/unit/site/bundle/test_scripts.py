"""The plan's scripts as they are run: each hands everything on to the one command that does the work."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from remotegpu.cli.main import build_app
from remotegpu.site.bundle.render import SCRIPTS, render
from remotegpu.site.bundle.writing import write
from remotegpu.site.config.model import Config, Release, Site

STAND_IN = '#!/bin/sh\nprintf "%s\\n" "$@" > "$SEEN"\nexit 3\n'
TYPED: Mapping[str, tuple[list[str], list[str]]] = {
    "deploy": (["v1.2.3", "--why", "the monthly one"], ["site", "deploy"]),
    "rollback": (["--dry-run"], ["site", "rollback"]),
    "backup-db": ([], ["site", "backup", "--kind", "database"]),
    "restore-db": (["--at", "newest", "--into", "look at it"], ["site", "restore"]),
}
DIRECTORIES = ["opt/remotegpu", "srv/remote gpu", "srv/it's $(touch spoilt) `x` }"]


def run(tmp_path: Path, directory: str, name: str, **environment: str) -> tuple[int, list[str], str]:
    """Exit status, what the command was given, and where the site is."""
    root = tmp_path / directory
    config = Config(
        site=Site(name="acme", domain="gpu.example.com", directory=str(root)),
        release=Release(version="v1.0.0"),
    )
    write(root, render(config))
    programs, seen = tmp_path / "bin", tmp_path / "seen"
    programs.mkdir()
    (programs / "remotegpu").write_text(STAND_IN)
    (programs / "remotegpu").chmod(0o755)
    done = subprocess.run(
        [root / f"scripts/{name}.sh", *TYPED[name][0]],
        env={"PATH": f"{programs}:/usr/bin:/bin", "SEEN": str(seen), **environment},
        cwd=tmp_path,
        check=False,
    )
    return done.returncode, seen.read_text().splitlines(), f"{root}/remotegpu.yaml"


@pytest.mark.parametrize("directory", DIRECTORIES)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_gives_all_it_was_given_to_the_command_and_ends_as_it_did(
    tmp_path: Path, directory: str, name: str
) -> None:
    typed, command = TYPED[name]
    status, given, config = run(tmp_path, directory, name)
    assert given == [*command, "--config", config, *typed]
    assert status == 3
    assert not (tmp_path / "spoilt").exists()
    build_app().parse_args(given, exit_on_error=False, print_error=False)


def test_another_site_file_can_be_named(tmp_path: Path) -> None:
    _, given, _ = run(tmp_path, "opt/remotegpu", "deploy", REMOTEGPU_CONFIG="/root/my site.yaml")
    assert given[2:4] == ["--config", "/root/my site.yaml"]
