"""Handbook: the database has a fault (section 7.5.2 of the deployment plan, mended)."""

from collections.abc import Iterator

from remotegpu.site.commands.compose import Compose
from remotegpu.site.diagnosing import asking, database_judging, judging, psql
from remotegpu.site.diagnosing.asking import Site
from remotegpu.site.diagnosing.steps import Judge, Step
from remotegpu.site.diagnosing.symptoms import DATABASE
from remotegpu.site.status.gathering.backups import PROGRAM
from remotegpu.site.status.judging.wording import compose as typed

OTHERWISE = (
    f"The evidence is kept, so it may be restarted now: {typed('restart postgresql')}. "
    "Damaged data comes back with: remotegpu site restore"
)
DATA = "/var/lib/postgresql/data"


def steps(site: Site) -> Iterator[Step]:
    compose = site.compose
    yield asking.engine()
    yield _volume(compose)
    yield asking.disk(site)
    yield asking.memory()
    yield asking.containers(site, "postgresql", "backup")
    yield asking.database(site, judging.as_symptom(judging.database_answers))
    yield asking.log(site, "postgresql", DATABASE)
    yield _figures(
        compose, "connections", "Are there connections left?", psql.CONNECTIONS, database_judging.connections
    )
    yield _figures(compose, "locks", "Does anybody wait for locks?", psql.BLOCKED, database_judging.blocked)
    yield _figures(compose, "damage", "Are pages damaged?", psql.DAMAGE, database_judging.damage)
    yield _figures(compose, "archive", "Does WAL reach the archive?", psql.ARCHIVE, database_judging.archive)
    yield _handed_over(compose)
    yield asking.schema(site)
    yield asking.log(site, "backup", DATABASE)
    yield _way_back(site)
    yield asking.last_change(site)
    yield asking.configuration(site)


def otherwise(_site: Site) -> str:
    return OTHERWISE


def _volume(compose: Compose) -> Step:
    """From inside, where the volume is."""
    return Step(
        name="volume",
        question="Is there room on the database's volume?",
        command=compose.execute("postgresql", "df", "-P", "-k", DATA, timeout_s=20),
        judge=judging.disk,
    )


def _figures(compose: Compose, name: str, question: str, query: str, judge: Judge) -> Step:
    return Step(name=name, question=question, command=psql.ask(compose, query), judge=judge)


def _handed_over(compose: Compose) -> Step:
    return Step(
        name="archive lag",
        question="How much work does the archive lack?",
        command=compose.execute("backup", PROGRAM, "backups", "wal-status", "--json", timeout_s=30),
        judge=database_judging.handed_over,
    )


def _way_back(site: Site) -> Step:
    return Step(
        name="backups",
        question="Which backup could it be restored from?",
        command=site.compose.execute("backup", PROGRAM, "backups", "list", "--json", timeout_s=30),
        judge=database_judging.way_back(site.now),
    )
