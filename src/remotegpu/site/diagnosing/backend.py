"""Handbook: the backend is not available (section 7.5.2 of the deployment plan, mended)."""

from collections.abc import Iterator

from remotegpu.site.bundle import topology
from remotegpu.site.diagnosing import asking, judging
from remotegpu.site.diagnosing.asking import Site
from remotegpu.site.diagnosing.steps import Step
from remotegpu.site.status.judging.wording import compose


def steps(site: Site) -> Iterator[Step]:
    backend, frontend = f"backend-{site.slot}", f"frontend-{site.slot}"
    services = ("postgresql", "redis", *_store(site), backend, frontend, "nginx", "worker")
    yield asking.engine()
    yield asking.disk(site)
    yield asking.memory()
    yield asking.database(site)
    yield _redis(site)
    if site.place.config.components.rustfs:
        yield _objects(site)
    yield asking.containers(site, *services)
    yield asking.schema(site)
    yield asking.log(site, backend)
    yield asking.backend_ready(site)
    yield asking.log(site, "worker")
    yield _requests(site)
    yield asking.consumption(site, *services)
    yield asking.last_change(site)
    yield asking.configuration(site)


def otherwise(site: Site) -> str:
    again = compose(f"restart backend-{site.slot}")
    return f"The evidence is kept, so it may be restarted now: {again}. If that does not help: remotegpu site rollback"


def _store(site: Site) -> tuple[str, ...]:
    return ("rustfs",) if site.place.config.components.rustfs else ()


def _redis(site: Site) -> Step:
    """``-e``: without it redis-cli ends with 0 also when it was refused. The password stays in the container."""
    script = 'REDISCLI_AUTH="$(cat /run/secrets/redis_operator_password)" redis-cli -e --user operator ping'
    return Step(
        name="redis",
        question="Does Redis answer?",
        command=site.compose.execute("redis", "sh", "-c", script, timeout_s=20),
        judge=judging.redis_answers,
    )


def _objects(site: Site) -> Step:
    url = f"http://127.0.0.1:{topology.OBJECTS_PORT}/health"
    return Step(
        name="objects",
        question="Does the object store answer?",
        command=site.compose.execute("rustfs", "curl", "-fsS", "--max-time", "5", url, timeout_s=20),
        judge=judging.objects_answer,
    )


def _requests(site: Site) -> Step:
    return Step(
        name="requests",
        question="Which requests failed lately?",
        command=site.compose.logs("nginx", lines=1000),
        judge=judging.requests,
    )
