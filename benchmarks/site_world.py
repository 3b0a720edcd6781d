"""A site of the benchmarks' own on a real Docker engine, as an operator deploys it, and what is measured on it.

It is brought up with the test bed of ``tests/stack``: the product's images from this very source, on stand-ins for the
published bases where those are not here. Everything of it is removed at the end.
"""

import contextlib
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT / "tests") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests"))

from site_load import Answer  # noqa: E402 - after the tests' folder is on the path
from stack.conftest import AGENT, RELEASE, Images, build_release  # noqa: E402 - the same
from stack.engine import Engine, NoEngineError, alone, running_engine  # noqa: E402 - the same
from stack.site import bed, door, people, visitors  # noqa: E402 - the same
from stack.site.bed import Site, write_settings  # noqa: E402 - the same
from stack.site.people import Account  # noqa: E402 - the same
from stack.site.variants import Variants  # noqa: E402 - the same
from stack.standins.build import provide  # noqa: E402 - the same

__all__ = ["Account", "BenchmarkSite", "World", "deployed", "load", "median"]

HTTP_PORT, HTTPS_PORT = 19280, 19643
DEFAULTS = {"start_seconds": 60, "watch_seconds": 10, "drain_seconds": 30}
"""Of ``release`` in ``remotegpu.yaml``: the tests shorten them."""
BACKUPS = ("/opt/remotegpu/bin/remotegpu", "backups")
PYTHON = "/opt/remotegpu/bin/python"
WORK_S = 3600
FILL = """
CREATE TABLE IF NOT EXISTS {table} (
  id bigint PRIMARY KEY, at timestamptz NOT NULL, actor text NOT NULL, detail jsonb NOT NULL
);
INSERT INTO {table}
  SELECT i, now() - i * interval '1 second', 'user-' || i % 5000,
         jsonb_build_object('request', md5(i::text), 'address', '10.0.' || i % 256 || '.' || i % 199, 'bytes', i * 37)
  FROM generate_series({first}, {last}) i;
"""
"""Rows like those of an audit trail. A third of their text is random, so that they compress as such data does."""
INDEX = "CREATE INDEX {table}_actor ON {table} (actor, at)"
SETTLED = "VACUUM (FREEZE, ANALYZE) {table}"
"""What PostgreSQL would do by and by, and in the middle of a measurement."""
BATCH = 250_000


class BenchmarkSite(Site):
    """One at a time on a machine: two would measure each other."""

    @property
    def name(self) -> str:
        return "bench"

    def in_backup(self, *argv: str, stdin: str = "") -> str:
        """A command in the backup container; what it printed. Fails with what it said."""
        file = self.directory / "docker-compose.prod.yml"
        command = ["docker", "compose", f"--file={file}", "exec", "--no-TTY", "backup", *argv]
        done = subprocess.run(
            command,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=WORK_S,
        )
        if done.returncode:
            raise RuntimeError(
                f"{argv} ended with {done.returncode}:\n{done.stderr[-3000:]}{done.stdout[-500:]}"
            )
        return done.stdout

    def backups(self, *arguments: str) -> Any:  # Any: each command has its own JSON
        """``remotegpu backups … --json``, as the schedule runs it."""
        return json.loads(self.in_backup(*BACKUPS, *arguments, "--json"))

    def run_in_backup(self, program: Path, *arguments: str) -> Any:  # Any: the program's own JSON
        """A Python program of ours in the backup container, with the product at hand."""
        return json.loads(self.in_backup(PYTHON, "-", *arguments, stdin=program.read_text(encoding="utf-8")))

    def mebibytes(self) -> float:
        """Size of the database."""
        return round(int(self.psql("SELECT pg_database_size('remotegpu')")) / 2**20, 1)

    def fill(self, table: str, mebibytes: float) -> None:
        """Rows until the database has grown to that size."""
        first = 1
        while self.mebibytes() < mebibytes * 0.92:  # the index makes up the rest
            self.psql(FILL.format(table=table, first=first, last=first + BATCH - 1))
            first += BATCH
        for statement in (INDEX, SETTLED, "CHECKPOINT"):
            self.psql(statement.format(table=table))


@dataclass(frozen=True)
class World:
    site: BenchmarkSite
    variants: Variants

    def administrator(self) -> Account:
        return people.first_administrator(self.site)


@contextmanager
def deployed(release: str) -> Generator[World]:
    """A site whose first release serves. ``release``: tag of images that are here; empty: they are built.

    What its commands say goes to standard error: standard output is for the figures.
    """
    with contextlib.redirect_stdout(sys.stderr), _engine() as engine:
        if not release:
            with alone():
                provide(engine)
                build_release(engine, RELEASE)
        root = Path(tempfile.mkdtemp(prefix="remotegpu-bench-", dir=bed.PARENT))
        root.chmod(0o755)  # the containers' accounts pass it
        environment = {**engine.environment, "PYTHONPATH": f"{ROOT}/src:{ROOT}/tests"}
        number = 1000 + secrets.randbelow(9000)
        site = BenchmarkSite(
            engine, root, number, HTTP_PORT, HTTPS_PORT, bed.free_subnet(engine), environment
        )
        world = World(site, Variants(engine, Images(release or RELEASE, {}, AGENT)))
        try:
            bed.initialise(site)
            write_settings(site.config, {"release": DEFAULTS})
            site.do("deploy", world.variants.same(site.version(0)), "--why=benchmark")
            yield world
        finally:
            bed.remove(site)


@contextmanager
def _engine() -> Generator[Engine]:
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(running_engine())
        except NoEngineError as error:
            _leave_out(str(error))
        yield engine


def _leave_out(why: str) -> NoReturn:
    """What cannot run here is named, and fails nobody."""
    print(json.dumps({"left_out": Path(sys.argv[0]).stem, "why": why}), file=sys.__stdout__)
    raise SystemExit(0)


@dataclass
class Load:
    """Constant requests from outside. ``answers``: once it has ended."""

    process: subprocess.Popen[str]
    file: Path
    answers: list[Answer]

    def stop(self) -> list[Answer]:
        self.process.communicate("stop\n", timeout=60)
        lines = self.file.read_text(encoding="utf-8").splitlines()
        self.answers = [
            (float(sent), float(took), int(status), str(path), int(times))
            for sent, took, status, path, times in map(json.loads, lines)
        ]
        return self.answers


@contextmanager
def load(site: Site, account: Account, per_second: int, mix: str) -> Generator[Load]:
    """``site_load.py`` at the front door, until ``stop``."""
    file = site.root / "answers.jsonl"
    argv = [sys.executable, str(ROOT / "benchmarks/site_load.py"), site.url, str(per_second), mix, str(file)]
    environment = site.environment | door.environment(site.domain, site.authority)
    process = subprocess.Popen(
        argv, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
    )
    try:
        visitors.tell(process, people.sign_in(site, account).access_token)
        assert visitors.hear(process) == "running"
        yield Load(process, file, [])
    finally:
        process.kill()
        process.wait()


def median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


def now() -> float:
    """Seconds on the clock that all processes of this machine share."""
    return time.monotonic()
