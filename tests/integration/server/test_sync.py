"""The long poll: what wakes it, how long it stands, and what becomes of what agents say in it."""

import asyncio
import time
from datetime import UTC, datetime

import aiohttp
import pytest

from integration.server.conftest import World, eventually
from remotegpu.server.domains.machines import samples
from server_client import ServerProcess, lease
from simulated_agent import RefusedError, SimulatedAgent, simulated_inventory, simulated_sample

SETTINGS = {"AGENT_SYNC_WAIT": "2s", "AGENT_UNREACHABLE_AFTER": "6s"}


async def standing_poll(host: SimulatedAgent) -> "asyncio.Task[float]":
    """A poll that the server holds; its result is when it was answered."""

    async def poll() -> float:
        await host.sync(wait=True)
        return time.monotonic()

    task = asyncio.create_task(poll())
    await asyncio.sleep(0.2)
    assert not task.done(), "the server did not hold the poll"
    return task


async def change(world: World, host: SimulatedAgent) -> float:
    """Change what the machine should be; returns when that was committed."""
    await world.admin.patch(f"/machines/{host.machine_id}", {"region": f"r{time.monotonic_ns()}"})
    return time.monotonic()


async def test_change_of_the_desired_state_answers_the_standing_poll_at_once(world: World) -> None:
    host = await world.machine()
    delays: list[float] = []
    for _ in range(10):
        poll = await standing_poll(host)
        changed = await change(world, host)
        delays.append(await poll - changed)
    assert sorted(delays)[-2] < 0.1, delays


async def test_poll_without_news_ends_empty_after_the_wait(world: World) -> None:
    host = await world.machine()
    began = time.monotonic()
    answer = await host.sync(wait=True)
    assert answer.desired is None
    assert 1.5 <= time.monotonic() - began < 3


async def test_report_that_does_not_wait_is_answered_at_once(world: World) -> None:
    host = await world.machine()
    began = time.monotonic()
    assert (await host.sync(wait=False)).desired is None
    assert time.monotonic() - began < 0.5


async def test_lost_wake_up_costs_one_poll_and_no_change(world: World) -> None:
    host = await world.machine()
    poll = await standing_poll(host)
    world.sql("UPDATE machines SET revision = revision + 1, region = 'quiet' WHERE id = %s", host.machine_id)
    revision = host.applied
    await poll
    assert host.applied == revision, "nobody woke it, so it should have ended empty"
    began = time.monotonic()
    await host.sync(wait=True)
    assert host.applied == revision + 1
    assert time.monotonic() - began < 0.5


async def test_change_on_one_server_process_wakes_the_poll_on_another(world: World) -> None:
    host = await world.machine()
    with world.another_server() as other:
        host.server_url = other.url
        delays: list[float] = []
        for _ in range(5):
            poll = await standing_poll(host)
            changed = await change(world, host)
            delays.append(await poll - changed)
        assert sorted(delays)[-2] < 0.15, delays


async def test_change_by_the_worker_wakes_the_poll(world: World) -> None:
    """The worker has the server's name in a small installation, and must be heard all the same."""
    host = await world.leased()
    task = await world.submit(host, max_retries=1)
    await host.sync()
    attempt = await host.next_attempt()
    host.finish(attempt.attempt_id, "failed")
    await host.sync()
    async with host.running():
        retried = await host.next_attempt()
        due = world.sql("SELECT not_before FROM tasks WHERE id = %s", task["id"])[0][0]
        waited = datetime.now(UTC) - due
    assert retried.number == 2
    assert waited.total_seconds() < 1.6, "a second for the sweep, and the wake-up"


async def test_server_that_was_restored_from_a_backup_is_followed_back(world: World) -> None:
    host = await world.machine()
    await change(world, host)
    await host.sync()
    world.sql("UPDATE machines SET revision = 1 WHERE id = %s", host.machine_id)
    await host.sync()
    assert host.applied == 1


async def test_heartbeats_of_a_fleet_are_written_in_one_statement(world: World) -> None:
    hosts = [await world.machine() for _ in range(6)]
    await asyncio.sleep(1.5)
    statement = "SELECT sum(n_tup_upd) FROM pg_stat_user_tables WHERE relname = 'machines'"
    world.sql("SELECT pg_stat_force_next_flush()")
    before = world.sql(statement)[0][0]
    for _ in range(10):
        await asyncio.gather(*(host.sync() for host in hosts))
    await asyncio.sleep(2.5)
    updates = world.sql(statement)[0][0] - before
    assert 0 < updates <= 4 * len(hosts), f"60 heartbeats of 6 machines became {updates} row updates"


async def test_machine_that_falls_silent_is_unreachable_and_keeps_its_state(world: World) -> None:
    host = await world.leased()
    await world.until(host, lambda machine: not machine["reachable"], seconds=20)
    silent = await world.see(host)
    assert silent["state"] == "allocated"
    since = datetime.fromisoformat(silent["reachability_since"])
    assert abs((datetime.now(UTC) - since).total_seconds()) < 10
    await host.sync()
    back = await world.until(host, lambda machine: machine["reachable"])
    assert back["state"] == "allocated"
    assert datetime.fromisoformat(back["reachability_since"]) > since
    trail = await world.admin.get(f"/audit?action=machine.unreachable&resource_id={host.machine_id}")
    assert trail["total"] == 1


async def test_unreachable_machine_is_not_leased(world: World) -> None:
    host = await world.machine()
    await world.cut_off(host)
    body = {
        "machine_id": host.machine_id,
        "customer_id": world.customer["id"],
        "ends_at": "2027-01-01T00:00:00Z",
    }
    answer = await world.admin.call("POST", "/allocations", body)
    assert (answer.status, answer.code) == (409, "machine_not_available")
    assert "unreachable" in answer.json["detail"]


@pytest.mark.parametrize("skew", [-600.0, 600.0])
async def test_clock_that_is_minutes_off_is_recorded_and_bounds_are_kept(world: World, skew: float) -> None:
    host = await world.leased(clock=lambda: time.time() + skew)
    machine = await world.until(host, lambda machine: machine["clock_skew_s"] is not None)
    assert abs(machine["clock_skew_s"] - skew) < 5
    task = await world.submit(host)
    await host.sync()
    attempt = await host.next_attempt()
    host.begin(attempt.attempt_id)
    await host.sync()
    host.finish(attempt.attempt_id)
    await host.sync()
    done = await world.until_task(task["id"], "succeeded")
    created, started, finished = (
        datetime.fromisoformat(done[name]) for name in ("created_at", "started_at", "finished_at")
    )
    assert created <= started <= finished <= datetime.now(UTC)


async def test_inventory_is_stored_and_asked_for_when_it_is_missing(world: World) -> None:
    host = await world.machine()
    host.inventory = simulated_inventory(host.name, gpus=8, os="Debian GNU/Linux 13", driver_version="570.1")
    answer = await host.sync(inventory=None)
    assert answer.want_inventory
    await host.sync()
    machine = await world.see(host)
    assert machine["gpu_count"] == 8
    assert machine["driver_version"] == "570.1"
    assert machine["inventory"]["os"] == "Debian GNU/Linux 13"
    assert machine["simulated"] is True
    assert not (await host.sync()).want_inventory


async def test_machine_is_online_with_its_first_report_and_in_maintenance_when_that_was_asked_for(
    world: World,
) -> None:
    plain, kept = world.host(), world.host()
    for host in (plain, kept):
        await host.enrol((await world.join_token())["token"])
        assert (await world.see(host))["state"] == "enrolling"
    await world.admin.patch(f"/machines/{kept.machine_id}", {"maintenance": True})
    assert (await plain.sync(inventory=None, inventory_hash="")).want_inventory
    await plain.sync()
    await kept.sync()
    assert (await world.see(plain))["state"] == "online"
    assert (await world.see(kept))["state"] == "maintenance"


async def test_live_figures_stand_in_list_detail_and_history(world: World) -> None:
    host = await world.machine()
    for step in range(3):
        await host.sync(sample=simulated_sample(processes=step))
    await world.until(host, lambda machine: machine["sample"] is not None)
    listed = await world.admin.get(f"/machines?q={host.name}")
    assert listed["items"][0]["sample"]["gpus"][0]["utilization_ratio"] == 0.5
    history = await world.admin.get(f"/machines/{host.machine_id}/samples?minutes=5")
    assert len(history["items"]) >= 1
    times = [item["taken_at"] for item in history["items"]]
    assert times == sorted(times)


async def test_agent_samples_often_while_somebody_looks_and_slowly_again_afterwards(world: World) -> None:
    host = await world.machine()
    assert host.desired is not None
    assert host.desired.sample_interval_s == 15
    async with host.running():
        await world.admin.post(f"/machines/{host.machine_id}/watch", expect=204)
        await host.until(lambda agent: agent.desired.sample_interval_s == 2)
        for _ in range(5):  # some figures while somebody looks
            await host.sync(sample=simulated_sample())
            await asyncio.sleep(0.4)
        host.sample = simulated_sample
        await world.services.redis.delete(f"watch:{host.machine_id}")  # the 30 seconds are over
        await host.until(lambda agent: agent.desired.sample_interval_s == 15)


async def test_poll_is_answered_while_the_cache_is_away(world: World) -> None:
    """Nothing of a machine's work waits for what is only a picture."""
    env = {**world.env, "REDIS_ADDR": "127.0.0.1:1", "INSTANCE_NAME": "without-cache"}
    host = await world.machine()
    process = ServerProcess(env, world.directory / "without-cache.log")
    process._wait_until_ready = lambda: None  # it is not ready, but it answers agents
    try:
        process.start()
        host.server_url = process.url
        await change(world, host)
        revision = host.applied

        async def ask() -> dict[str, object]:
            try:
                await host.sync()
            except (RefusedError, aiohttp.ClientError) as error:
                return {"applied": host.applied, "error": repr(error)}
            return {"applied": host.applied}

        await eventually(ask, lambda found: found["applied"] > revision, seconds=30)
    finally:
        process.stop()


async def test_leased_machine_hears_of_its_account_and_of_a_new_key_at_once(world: World) -> None:
    host = await world.machine()
    async with host.running():
        await lease(world.admin, host.machine_id, world.customer["id"])
        await host.until(lambda agent: agent.desired.accounts)
        account = host.desired.accounts[0]
        assert account.name == f"rg-{world.customer['company_code']}"
        assert account.principals == [f"allocation:{account.allocation_id}"]
        key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBkbYrAh0+l7SMgnNVAo8dZoKUZDNLPJ0e4jfBP8QIV2"
        added = await world.member.post("/auth/ssh-keys", {"name": "laptop", "public_key": key}, expect=201)
        await host.until(lambda agent: key in agent.desired.accounts[0].authorized_keys)
        await world.member.delete(f"/auth/ssh-keys/{added['id']}")
        await host.until(lambda agent: not agent.desired.accounts[0].authorized_keys)


async def test_figures_are_thinned_to_what_a_sparkline_shows(world: World) -> None:
    host = await world.machine()
    key = f"samples:{host.machine_id}"
    figures = [samples._encoder.encode(simulated_sample(taken_at=time.time() - age)) for age in range(700)]
    await world.services.redis.rpush(key, *figures)
    history = await world.admin.get(f"/machines/{host.machine_id}/samples?minutes=60")
    assert 200 <= len(history["items"]) <= 360
