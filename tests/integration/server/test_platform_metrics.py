"""What Prometheus reads from the worker: the platform as the database has it at that moment."""

import contextlib
from collections.abc import Generator

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from integration.server.conftest import World, eventually
from remotegpu.protocol.metrics import PLATFORM
from server_client import ServerProcess, free_port

Labels = dict[str, str]


@contextlib.contextmanager
def worker(world: World, **variables: str) -> Generator[str]:
    """One more worker; where its metrics are."""
    port = free_port()
    env = {**world.env, "INSTANCE_NAME": "measured", "METRICS_PORT": str(port), **variables}
    process = ServerProcess(env, world.directory / f"worker-{port}.log", "worker")
    try:
        process.start()
        yield f"http://127.0.0.1:{port}/metrics"
    finally:
        process.stop()


async def scraped(http: aiohttp.ClientSession, url: str) -> dict[str, list[tuple[Labels, float]]]:
    """Samples by metric. Empty: nobody listens yet."""
    try:
        async with http.get(url) as answer:
            text = await answer.text()
    except aiohttp.ClientConnectionError:
        return {}
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    found: dict[str, list[tuple[Labels, float]]] = {}
    for sample in samples:
        found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(found: dict[str, list[tuple[Labels, float]]], name: str, **labels: str) -> float:
    """Of the one sample that has these labels, whatever others it has."""
    (one,) = [number for has, number in found[name] if labels.items() <= has.items()]
    return one


async def test_the_worker_shows_the_whole_platform(world: World) -> None:
    host = await world.leased()
    silent = await world.machine()
    await world.cut_off(silent)
    await world.submit(host)
    with worker(world) as url:
        found = await eventually(
            lambda: scraped(world.http, url), lambda found: "remotegpu_database_up" in found, 20
        )
    absent = {"remotegpu_sessions", "remotegpu_agent_clock_skew_seconds"}
    assert found.keys() >= PLATFORM.keys() - absent
    assert value(found, "remotegpu_database_up") == 1
    ((last_seen,),) = world.sql(
        "SELECT extract(epoch FROM last_seen_at)::float8 FROM machines WHERE id = %s", silent.machine_id
    )
    heard = "remotegpu_agent_last_heartbeat_timestamp_seconds"
    assert value(found, heard, machine=silent.name, customer="", region="") == last_seen
    assert (
        value(found, "remotegpu_node_gpus_expected", machine=host.name, customer=world.customer["name"]) > 0
    )
    assert value(found, "remotegpu_agents", status="lost") >= 1
    assert value(found, "remotegpu_machines", state="allocated") >= 1
    assert sum(number for _, number in found["remotegpu_tasks"]) >= 1


async def test_a_database_that_is_away_is_said_and_nothing_is_made_up(world: World) -> None:
    with worker(world, DB_HOST="127.0.0.1", DB_PORT=str(free_port())) as url:
        found = await eventually(
            lambda: scraped(world.http, url), lambda found: "remotegpu_database_up" in found, 30
        )
    assert found["remotegpu_database_up"] == [({}, 0)]
    assert not PLATFORM.keys() & found.keys()
