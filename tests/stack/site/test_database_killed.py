"""The database is killed at work: what it acknowledged is there, and the site comes back by itself."""

import http.client
import os
import signal
import threading
import time
from dataclasses import dataclass, field

from stack.site.bed import Site
from stack.site.door import RefusedError
from stack.site.people import Session

WRITERS = 4
BEFORE, AFTER = 40, 40
"""Acknowledged writes before the kill, and after it."""
COMES_BACK_S = 90


@dataclass
class Writers:
    """Make customers, one after the other; ``acknowledged``: those that the site said it has."""

    site: Site
    token: str
    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def write(self, writer: int) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            code = f"w{writer}-{number}-{self.site.number}"
            body = {"company_code": code, "name": f"Written {code}"}
            try:
                self.site.door.ask("POST", "/api/v1/customers", body, token=self.token)
            except (RefusedError, OSError, http.client.HTTPException):
                self.refused += 1
            else:
                self.acknowledged.append(code)

    def until(self, count: int) -> None:
        deadline = time.monotonic() + COMES_BACK_S
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} acknowledged, expected {count}"
            time.sleep(0.05)


def kill_database(site: Site) -> None:
    """As the kernel does it: all processes at once. ``docker kill`` would keep it from starting again."""
    (container,) = site.compose("ps", "--quiet", "postgresql").split()
    os.kill(int(site.engine.docker("inspect", "--format={{.State.Pid}}", container).stdout), signal.SIGKILL)


def test_every_acknowledged_write_outlives_the_database(site: Site, at_first: str, admin: Session) -> None:
    assert at_first
    writers = Writers(site, admin.access_token)
    threads = [threading.Thread(target=writers.write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        writers.until(BEFORE)
        before = len(writers.acknowledged)
        began = time.monotonic()
        kill_database(site)
        writers.until(before + WRITERS + AFTER)  # those that were on their way do not count
    finally:
        writers.stop.set()
        for thread in threads:
            thread.join()
    seconds = time.monotonic() - began
    print(f"{len(writers.acknowledged)} acknowledged, {writers.refused} not, back in {seconds:.1f} s")  # noqa: T201
    found = set(site.psql("SELECT company_code FROM customers").split())
    assert set(writers.acknowledged) <= found
    assert writers.refused > 0
