"""Steps that more than one handbook takes: the node itself, the parts of the site, their logs."""

from dataclasses import dataclass
from datetime import datetime

from remotegpu.site.bundle import topology
from remotegpu.site.commands import docker
from remotegpu.site.commands.compose import Compose
from remotegpu.site.diagnosing import judging, psql
from remotegpu.site.diagnosing.steps import Judge, Step
from remotegpu.site.diagnosing.symptoms import PROGRAM, Symptom
from remotegpu.site.journal import FILE_NAME as JOURNAL
from remotegpu.site.place import Place
from remotegpu.site.releases import Release
from remotegpu.site.runner import Command

LOG_LINES = 200
JOURNAL_LINES = "50"


@dataclass(frozen=True)
class Site:
    """What every handbook is about. ``engine_root``: where Docker keeps its files."""

    place: Place
    release: Release | None
    now: datetime

    @property
    def compose(self) -> Compose:
        return Compose(self.place.directory)

    @property
    def slot(self) -> topology.Slot:
        """The one that serves; before the first deployment the one that will."""
        return self.release.slot if self.release else topology.SLOTS[0]

    def container(self, service: str) -> str:
        """As Compose names it."""
        return f"{topology.project(self.place.config)}-{service}-1"


def engine() -> Step:
    return Step(
        name="engine", question="Does Docker answer?", command=docker.server_version(), judge=judging.engine
    )


def disk(site: Site) -> Step:
    return Step(
        name="disk",
        question="Is there room on the disks?",
        command=Command(argv=("df", "-P", "-k", "/", str(site.place.directory))),
        judge=judging.disk,
    )


def memory() -> Step:
    return Step(
        name="memory",
        question="Is there memory left on this node?",
        command=Command(argv=("cat", "/proc/meminfo")),
        judge=judging.memory,
    )


def containers(site: Site, *services: str) -> Step:
    return Step(
        name="containers",
        question=f"Do they run and stay up: {', '.join(services)}?",
        command=docker.describe_containers(tuple(site.container(service) for service in services)),
        judge=judging.containers(services, site.release, site.now),
    )


def consumption(site: Site, *services: str) -> Step:
    names = (site.container(service) for service in services)
    return Step(
        name="consumption",
        question="What do they take of their limits?",
        command=Command(argv=("docker", "stats", "--no-stream", *names)),
        judge=judging.noted,
    )


def database(site: Site, judge: Judge = judging.database_answers) -> Step:
    return Step(
        name="database",
        question="Does PostgreSQL accept connections?",
        command=site.compose.execute(
            "postgresql", "pg_isready", "-h", "/var/run/postgresql", "-d", topology.DATABASE, timeout_s=20
        ),
        judge=judge,
    )


def schema(site: Site) -> Step:
    return Step(
        name="schema",
        question="Is the schema the one of the release that serves?",
        command=psql.ask(site.compose, psql.SCHEMA),
        judge=judging.schema(site.release),
    )


def log(site: Site, service: str, known: tuple[Symptom, ...] = PROGRAM) -> Step:
    return Step(
        name=f"log of {service}",
        question=f"What did {service} say last?",
        command=site.compose.logs(service, lines=LOG_LINES),
        judge=judging.log(service, known),
    )


def backend_ready(site: Site) -> Step:
    """Asked from nginx' place, by the address that nginx uses."""
    address = f"{topology.address(site.place.config, f'backend-{site.slot}')}:{topology.BACKEND_PORT}"
    return Step(
        name="readiness",
        question="Is the backend that serves ready, asked from nginx' place?",
        command=site.compose.execute(
            "nginx", "curl", "-sS", "--max-time", "5", f"http://{address}/health/ready", timeout_s=20
        ),
        judge=judging.backend_ready,
    )


def last_change(site: Site) -> Step:
    return Step(
        name="last change",
        question="What was changed last?",
        command=Command(argv=("tail", "-n", JOURNAL_LINES, str(site.place.directory / JOURNAL))),
        judge=judging.last_change(site.now),
    )


def configuration(site: Site) -> Step:
    return Step(
        name="configuration",
        question="How is the site configured?",
        command=Command(argv=("cat", str(site.place.config_path))),
        judge=judging.noted,
    )
