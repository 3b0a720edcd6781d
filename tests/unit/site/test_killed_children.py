"""A command that is killed with SIGKILL leaves its Docker command at work: nobody else changes the site meanwhile."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remotegpu.site import lock

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DOCKER = """#!/bin/sh
# As the real one: a plugin in a process of its own does the work.
sh -c 'touch working; while ! test -e finish; do sleep 0.05; done; touch finished' &
wait
"""
DEPLOY = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from remotegpu.site import lock, runner
from remotegpu.site.commands.compose import Compose

site = Path(sys.argv[1])
with lock.held(site, "deploy v1.2.0", datetime(2026, 11, 24, 12, 0, tzinfo=UTC), with_children=True):
    runner.attempt(Compose(site).check())
"""


@pytest.fixture
def deploying(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """It has the site, and Docker is at work."""
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    path = f"{docker.parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-c", DEPLOY, str(tmp_path)], env={**os.environ, "PATH": path}
    )
    try:
        until(tmp_path / "working")
        yield process
    finally:
        (tmp_path / "finish").touch()
        process.kill()
        process.wait()


def until(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.02)


def test_the_site_stays_held_until_what_a_killed_deployment_started_has_ended(
    tmp_path: Path, deploying: "subprocess.Popen[bytes]"
) -> None:
    with pytest.raises(lock.SiteBusyError, match="Wait until that has ended"), lock.held(tmp_path, "x", NOON):
        pytest.fail("two at once")
    deploying.kill()
    deploying.wait()
    told = rf"deploy v1\.2\.0 .* pid {deploying.pid}, .* That process died, but something that it started still works"
    with pytest.raises(lock.SiteBusyError, match=told), lock.held(tmp_path, "x", NOON):
        pytest.fail("the other one's Docker command is at work")
    assert not (tmp_path / "finished").exists()
    (tmp_path / "finish").touch()
    until(tmp_path / "finished")
    deadline = time.monotonic() + 30
    while is_held(tmp_path):
        assert time.monotonic() < deadline, "it is held for ever"
        time.sleep(0.02)


def is_held(site: Path) -> bool:
    try:
        with lock.held(site, "x", NOON):
            return False
    except lock.SiteBusyError:
        return True


def test_one_that_ends_by_itself_leaves_nothing_held(
    tmp_path: Path, deploying: "subprocess.Popen[bytes]"
) -> None:
    (tmp_path / "finish").touch()
    assert deploying.wait() == 0
    with lock.held(tmp_path, "the next", NOON):
        pass
