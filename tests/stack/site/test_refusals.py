"""What a deployment refuses before it changes anything, and whoever comes second."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from stack.engine import Engine
from stack.site.bed import Site, new_site
from stack.site.variants import Variants

STOPPED_S = 60


@contextmanager
def deployment_under_way(site: Site, version: str) -> Generator[subprocess.Popen[str]]:
    """Stopped in the middle, by a signal; at the end it dies of another one."""
    argv = [sys.executable, "-m", "stack.site.killed", "deploy", "plan", "done", "site", "deploy", version]
    process = subprocess.Popen(
        [*argv, "--why=a release for the morning", f"--config={site.config}"],
        env={**site.environment, "DIE_BY": "SIGSTOP"},
        text=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + STOPPED_S
        while os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG) == (0, 0):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_whoever_comes_second_is_told_who_is_at_work_since_when_and_on_what(
    site: Site, at_first: str, next_version: str
) -> None:
    with deployment_under_way(site, next_version) as process:
        for command in (["deploy", next_version], ["rollback"], ["secrets", "rotate", "redis"]):
            done = site.try_to(*command)
            assert done.code == 3, done.said
            assert f"deploy {next_version}: a release for the morning by root on " in done.said
            assert f"pid {process.pid}, since {datetime.now(UTC):%Y-%m-%d}T" in done.said
        assert site.serving()["version"] == at_first
    said = site.do("rollback").said
    assert f"{at_first} serves" in said
    assert site.door.answers()


def test_a_release_without_images_changes_nothing(site: Site, at_first: str) -> None:
    journal = (site.directory / "journal.jsonl").read_bytes()
    done = site.try_to("deploy", site.version(99))
    assert done.code == 1
    assert "nothing was changed" in done.said
    assert f"remotegpu-backend:{site.version(99)} is not on this node. Build it" in done.said
    assert (site.directory / "journal.jsonl").read_bytes() == journal
    assert site.serving()["version"] == at_first


def test_a_port_that_somebody_has_is_found_before_anything_is_made(
    engine: Engine, variants: Variants
) -> None:
    with new_site(engine) as fresh, socket.socket() as other:
        variants.same(fresh.version(0))
        other.bind(("0.0.0.0", fresh.https_port))
        other.listen()
        done = fresh.try_to("deploy")
        assert done.code == 1
        assert "nothing was changed" in done.said
        assert f"port {fresh.https_port}: Address already in use. Stop what listens there" in done.said
        assert fresh.containers() == []
        assert not (fresh.directory / "docker-compose.prod.yml").exists()
