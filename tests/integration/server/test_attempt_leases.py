"""What becomes of an attempt whose host falls silent. Leases are short here."""

import asyncio

import pytest

from integration.server.conftest import World
from remotegpu.protocol.attempts import AttemptReport
from simulated_agent import RefusedError, run_until_stopped

SETTINGS = {"AGENT_LEASE_SECONDS": "3s", "AGENT_SYNC_WAIT": "1s", "AGENT_UNREACHABLE_AFTER": "3s"}


async def test_running_attempt_keeps_its_lease_as_long_as_its_host_reports_it(world: World) -> None:
    host = await world.leased(work=run_until_stopped)
    task = await world.submit(host)
    async with host.running():
        await world.until_task(task["id"], "running")
        await asyncio.sleep(7)
        assert (await world.task(task["id"]))["state"] == "running"
    assert len(host.starts) == 1


async def test_attempt_of_a_silent_host_is_lost_and_the_task_waits_for_the_host_to_try_again(
    world: World,
) -> None:
    host = await world.leased()
    task = await world.submit(host, max_retries=1)
    await host.sync()
    first = await host.next_attempt()
    host.begin(first.attempt_id)
    await host.sync()
    await host.push_log(first.attempt_id, b"half a line", offset=0)
    waiting = await world.until_task(task["id"], "queued", seconds=20)
    assert [attempt["state"] for attempt in waiting["attempts"]] == ["lost"]
    assert "did not report it until its lease ran out" in waiting["reason"]
    await world.until(host, lambda machine: not machine["reachable"], seconds=20)
    await asyncio.sleep(2)
    assert (await world.task(task["id"]))["attempt"] == 1, "nothing is started on a host that is not there"

    await host.sync()  # it is back, and still speaks of the first attempt
    assert first.attempt_id not in host.reports, "it was told to forget it"
    again = await world.until_task(task["id"], "assigned", seconds=20)
    assert again["attempt"] == 2
    with pytest.raises(RefusedError) as caught:
        await host.push_log(first.attempt_id, b"more", offset=11)
    assert (caught.value.status, caught.value.code) == (409, "attempt_lost")
    late = AttemptReport(attempt_id=first.attempt_id, state="succeeded", exit_code=0)
    assert (await host.sync(attempts=[late])).refused_attempts == [first.attempt_id]

    second = await host.next_attempt()
    assert second.number == 2
    host.begin(second.attempt_id)
    host.finish(second.attempt_id)
    await host.sync()
    done = await world.until_task(task["id"], "succeeded")
    assert [attempt["state"] for attempt in done["attempts"]] == ["lost", "succeeded"]
    kept = await world.member.call("GET", f"/tasks/{task['id']}/log?attempt=1")
    assert kept.body == b"half a line"
    assert world.sql("SELECT log_final, log_stored FROM attempts WHERE id = %s", first.attempt_id) == [
        (True, 11)
    ]


async def test_task_without_retries_fails_when_its_attempt_is_lost(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host)
    await host.sync()
    failed = await world.until_task(task["id"], "failed", seconds=20)
    assert failed["reason"] == "the agent did not begin it before its lease ran out"
    await host.sync()
    assert host.desired.attempts == []


async def test_lost_attempt_that_its_host_goes_on_reporting_is_refused(world: World) -> None:
    """The server knows a running attempt by heart, and must still notice that it was lost."""
    host = await world.leased(work=run_until_stopped)
    task = await world.submit(host)
    async with host.running():
        await world.until_task(task["id"], "running")
        world.sql("UPDATE attempts SET state = 'lost', finished_at = now() WHERE task_id = %s", task["id"])
        attempt_id = host.starts[0]
        await host.until(lambda agent: attempt_id in agent.refused)
    assert attempt_id not in host.reports


async def test_end_of_a_lease_on_a_host_that_is_gone_waits_for_it_and_then_completes(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host, max_retries=5)
    await host.sync()
    host.begin((await host.next_attempt()).attempt_id)
    await host.sync()
    await world.end_lease(host)
    failed = await world.until_task(task["id"], "failed", seconds=20)
    assert failed["attempt"] == 1, "a task whose lease has ended is not tried again"
    waiting = await world.until_allocation(
        host,
        lambda found: any("unreachable since" in step["detail"] for step in found["steps"]),
        seconds=20,
    )
    assert waiting["state"] == "reclaiming"
    async with host.running():
        await world.until_allocation(host, lambda found: found["state"] == "ended")


async def test_server_that_was_away_for_longer_than_the_lease_loses_no_attempt(world: World) -> None:
    host = await world.leased(work=run_until_stopped)
    task = await world.submit(host)
    async with host.running():
        await world.until_task(task["id"], "running")
        world.server.stop()
        await asyncio.sleep(6)  # the worker goes on, and sees the lease run out
        world.server.start()
        await asyncio.sleep(4)
        found = await world.task(task["id"])
    assert found["state"] == "running"
    assert found["attempt"] == 1
    assert len(host.starts) == 1
