"""Leases: who gets a machine, until when, and how the end goes."""

import asyncio
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integration.server.conftest import World
from remotegpu.protocol.sync import AccountCleanup, AccountReport
from remotegpu.server import administration, sweeps
from server_client import Client, in_days, lease, new_person
from simulated_agent import SimulatedAgent, run_until_stopped, simulated_sample, wiped

STEPS = ["revoke_access", "stop_tasks", "close_sessions", "clean_account", "check_machine"]


def iso(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def statuses(allocation: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["status"] for step in allocation["steps"]}


def detail(allocation: dict, name: str) -> str:
    return next(step["detail"] for step in allocation["steps"] if step["name"] == name)


async def schedule(world: World, host: SimulatedAgent, start: str, end: str) -> dict[str, Any]:
    body = {
        "machine_id": host.machine_id,
        "customer_id": world.customer["id"],
        "starts_at": start,
        "ends_at": end,
    }
    return await world.admin.post("/allocations", body, expect=201)


async def second_admin(world: World) -> Client:
    """Another account, signed in: each account's own limits and locks must not be what decides a race."""
    email = f"admin-{secrets.token_hex(4)}@example.com"
    initial = await administration.add_admin(world.services.settings, email)
    return await new_person(world.http, world.server.url, email, initial)


async def test_of_admins_who_lease_a_machine_at_once_exactly_one_wins(world: World) -> None:
    other, _ = await world.new_company()
    contenders = [(world.admin, world.customer["id"]), (await second_admin(world), other["id"])] * 3
    for _ in range(8):
        host = await world.machine()
        answers = await asyncio.gather(
            *(
                admin.call(
                    "POST",
                    "/allocations",
                    {"machine_id": host.machine_id, "customer_id": customer, "ends_at": in_days(3)},
                )
                for admin, customer in contenders
            )
        )
        assert sorted(answer.status for answer in answers) == [201] + [409] * (len(contenders) - 1)
        for answer in answers:
            if answer.status == 409:
                assert answer.code == "machine_not_available"
                assert "is taken: active for Company" in answer.json["detail"]
        rows = world.sql("SELECT state FROM allocations WHERE machine_id = %s", host.machine_id)
        assert rows == [("active",)]


async def test_lease_that_is_asked_for_five_times_at_once_with_one_key_is_one(world: World) -> None:
    host = await world.machine()
    key = {"Idempotency-Key": secrets.token_hex(8)}
    body = {"machine_id": host.machine_id, "customer_id": world.customer["id"], "ends_at": in_days(3)}
    answers = await asyncio.gather(
        *(world.admin.call("POST", "/allocations", body, headers=key) for _ in range(5))
    )
    assert {answer.status for answer in answers} == {201}
    assert [answer.json for answer in answers] == [answers[0].json] * len(answers)
    rows = world.sql("SELECT id::text, state FROM allocations WHERE machine_id = %s", host.machine_id)
    assert rows == [(answers[0].json["id"], "active")]


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "fields"),
    [
        (None, iso(days=-1), {"ends_at"}),
        (iso(days=-3), iso(days=-4), {"starts_at", "ends_at"}),
        (iso(days=5), iso(days=4), {"ends_at"}),
        (None, iso(days=366 * 6), {"ends_at"}),
    ],
    ids=["end in the past", "all in the past", "end before start", "too long"],  # the same in every worker
)
async def test_impossible_period_names_every_problem(
    world: World, starts_at: str | None, ends_at: str, fields: set[str]
) -> None:
    host = await world.machine()
    body = {"machine_id": host.machine_id, "customer_id": world.customer["id"], "ends_at": ends_at}
    answer = await world.admin.call(
        "POST", "/allocations", body | ({"starts_at": starts_at} if starts_at else {})
    )
    assert (answer.status, answer.code) == (422, "invalid_period")
    assert {problem["field"] for problem in answer.json["errors"]} == fields
    assert (await world.see(host))["state"] == "online"


async def test_scheduled_lease_begins_by_itself_and_ends_by_itself(world: World) -> None:
    host = await world.machine()
    allocation = await schedule(world, host, iso(seconds=2), iso(seconds=6))
    assert allocation["state"] == "scheduled"
    assert (await world.see(host))["state"] == "online"
    async with host.running():
        begun = await world.until_allocation(host, lambda found: found["state"] == "active")
        assert (await world.see(host))["state"] == "allocated"
        await host.until(lambda agent: agent.desired.accounts)
        ended = await world.until_allocation(host, lambda found: found["state"] == "ended")
    assert begun["id"] == ended["id"] == allocation["id"]
    assert ended["end_reason"] == "the agreed period is over"
    assert datetime.fromisoformat(ended["ended_at"]) >= datetime.fromisoformat(ended["ends_at"])
    assert (await world.see(host))["state"] == "online"


async def test_scheduled_lease_waits_for_its_machine_and_is_cancelled_when_that_never_comes(
    world: World,
) -> None:
    host = await world.machine()
    await world.admin.patch(f"/machines/{host.machine_id}", {"maintenance": True})
    late = await schedule(world, host, iso(seconds=1), iso(seconds=4))
    cancelled = await world.until_allocation(host, lambda found: found["state"] == "cancelled")
    assert cancelled["id"] == late["id"]
    assert "not ready during the whole period" in cancelled["end_reason"]
    later = await schedule(world, host, iso(seconds=1), iso(days=1))
    await asyncio.sleep(3)
    assert (await world.allocation(host))["state"] == "scheduled"
    await world.admin.patch(f"/machines/{host.machine_id}", {"maintenance": False})
    begun = await world.until_allocation(host, lambda found: found["state"] == "active")
    assert begun["id"] == later["id"]


async def test_periods_may_touch_and_must_not_overlap(world: World) -> None:
    host = await world.machine()
    first = await schedule(world, host, iso(days=1), iso(days=2))
    for start, end in (
        (iso(days=1.5), iso(days=3)),
        (iso(hours=1), iso(days=1.1)),
        (iso(hours=1), iso(days=9)),
    ):
        body = {
            "machine_id": host.machine_id,
            "customer_id": world.customer["id"],
            "starts_at": start,
            "ends_at": end,
        }
        answer = await world.admin.call("POST", "/allocations", body)
        assert (answer.status, answer.code) == (409, "machine_not_available")
        assert "scheduled for Company" in answer.json["detail"]
    await schedule(world, host, first["ends_at"], iso(days=3))
    refused = await world.admin.call("POST", f"/allocations/{first['id']}/extend", {"ends_at": iso(days=2.5)})
    assert (refused.status, refused.code) == (409, "machine_not_available")
    assert "another lease" in refused.json["detail"]


async def test_end_can_be_moved_but_not_into_the_past(world: World) -> None:
    host = await world.leased()
    allocation = await world.allocation(host)
    for days in (60, 5):
        moved = await world.admin.post(f"/allocations/{allocation['id']}/extend", {"ends_at": iso(days=days)})
        assert moved["state"] == "active"
        assert datetime.fromisoformat(moved["ends_at"]) > datetime.now(UTC) + timedelta(days=days - 1)
    refused = await world.admin.call(
        "POST", f"/allocations/{allocation['id']}/extend", {"ends_at": iso(days=-1)}
    )
    assert (refused.status, refused.code) == (422, "invalid_period")


async def test_lease_that_is_extended_while_the_worker_ends_it_goes_on(world: World) -> None:
    """The worker found it due before the extension was committed."""
    host = await world.leased()
    allocation = await world.allocation(host)
    await sweeps._each(world.services, [uuid.UUID(allocation["id"])], sweeps.ending.end_due)
    assert (await world.allocation(host))["state"] == "active"


async def test_only_a_scheduled_lease_can_be_cancelled_and_only_a_running_one_ended(world: World) -> None:
    host = await world.machine()
    planned = await schedule(world, host, iso(days=1), iso(days=2))
    refused = await world.admin.call("POST", f"/allocations/{planned['id']}/end", {"reason": ""})
    assert (refused.status, refused.code) == (409, "not_active")
    cancelled = await world.admin.post(f"/allocations/{planned['id']}/cancel", {})
    assert cancelled["state"] == "cancelled"
    running = await lease(world.admin, host.machine_id, world.customer["id"])
    assert (await world.admin.call("POST", f"/allocations/{running['id']}/cancel", {})).status == 409
    assert (await world.admin.call("POST", f"/allocations/{planned['id']}/cancel", {})).status == 409


async def test_end_takes_access_and_work_away_at_once_and_offers_the_machine_when_all_is_clean(
    world: World,
) -> None:
    host = await world.leased(work=run_until_stopped)
    running = await world.submit(host, gpus=2)
    waiting = await world.submit(host, gpus=2)
    async with host.running():
        await world.until_task(running["id"], "running")
        ended = await world.end_lease(host, "the contract was cancelled")
        assert ended["state"] == "reclaiming"
        assert [step["name"] for step in ended["steps"]] == STEPS
        assert statuses(ended)["revoke_access"] == "done"
        assert (await world.task(waiting["id"]))["state"] == "cancelled"
        assert (await world.member.call("GET", f"/machines/{host.machine_id}")).status == 404
        certificate = {
            "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBkbYrAh0+l7SMgnNVAo8dZoKUZDNLPJ0e4jfBP8QIV2"
        }
        path = f"/machines/{host.machine_id}/ssh-certificate"
        assert (await world.member.call("POST", path, certificate)).status == 404
        body = {"machine_id": host.machine_id, "name": "late", "kind": "shell", "command": "true"}
        assert (await world.member.call("POST", "/tasks", body)).status == 404
        done = await world.until_allocation(host, lambda found: found["state"] == "ended")
    assert set(statuses(done).values()) == {"done"}
    assert all(step["started_at"] <= step["finished_at"] for step in done["steps"])
    stopped = await world.task(running["id"])
    assert (stopped["state"], stopped["reason"]) == ("stopped", "the contract was cancelled")
    assert (await world.see(host))["state"] == "online"
    await lease(world.admin, host.machine_id, world.customer["id"])


async def test_machine_that_is_unreachable_at_the_end_says_so_and_goes_on_when_it_is_back(
    world: World,
) -> None:
    host = await world.leased()
    await world.cut_off(host)
    await world.end_lease(host)
    waiting = await world.until_allocation(
        host, lambda found: "unreachable since" in detail(found, "clean_account")
    )
    assert statuses(waiting)["clean_account"] == "running"
    assert statuses(waiting)["check_machine"] == "pending"
    assert (await world.see(host))["state"] == "reclaiming"
    async with host.running():
        await world.until_allocation(host, lambda found: found["state"] == "ended")
    assert (await world.see(host))["state"] == "online"


async def test_failed_clean_up_is_shown_and_tried_again_until_it_works(world: World) -> None:
    host = await world.leased(
        wipe=lambda cleanup: AccountReport(
            name=cleanup.name,
            allocation_id=cleanup.allocation_id,
            state="failed",
            detail="2 processes still run: python train.py",
        )
    )
    async with host.running():
        await world.end_lease(host)
        failed = await world.until_allocation(
            host, lambda found: statuses(found)["clean_account"] == "failed"
        )
        assert "2 processes still run" in detail(failed, "clean_account")
        assert "tries again" in detail(failed, "clean_account")
        assert host.desired.cleanups, "the agent must still be asked for it"
        cleanup = AccountCleanup(name=failed["account"], allocation_id=failed["id"])
        host.accounts[failed["account"], failed["id"]] = wiped(cleanup)
        host._news.set()
        await world.until_allocation(host, lambda found: found["state"] == "ended")


async def test_process_left_on_a_gpu_fails_the_check_and_its_end_releases_the_machine(world: World) -> None:
    host = await world.leased(sample=lambda: simulated_sample(processes=1))
    async with host.running():
        await asyncio.sleep(0.1)
        await host.sync()
        await world.end_lease(host)
        failed = await world.until_allocation(
            host, lambda found: statuses(found)["check_machine"] == "failed"
        )
        assert "2 process(es) still use the GPUs" in detail(failed, "check_machine")
        assert (await world.see(host))["state"] == "reclaiming"
        host.sample = simulated_sample
        await world.until_allocation(host, lambda found: found["state"] == "ended")


async def test_machine_in_maintenance_stays_so_when_its_lease_ends(world: World) -> None:
    host = await world.leased()
    await world.admin.patch(f"/machines/{host.machine_id}", {"maintenance": True})
    assert (await world.see(host))["state"] == "allocated"
    async with host.running():
        await world.end_lease(host)
        await world.until_allocation(host, lambda found: found["state"] == "ended")
    assert (await world.see(host))["state"] == "maintenance"
    await world.admin.patch(f"/machines/{host.machine_id}", {"maintenance": False})
    assert (await world.see(host))["state"] == "online"


async def test_host_cannot_report_the_account_of_another_machine_as_wiped(world: World) -> None:
    victim, liar = await world.leased(), await world.machine()
    await world.end_lease(victim)
    allocation = await world.allocation(victim)
    lie = AccountReport(name=allocation["account"], allocation_id=allocation["id"], state="absent")
    await liar.sync(accounts=[lie])
    await asyncio.sleep(2.5)
    assert statuses(await world.allocation(victim))["clean_account"] == "running"
    assert (await world.see(victim))["state"] == "reclaiming"
    async with victim.running():
        await world.until_allocation(victim, lambda found: found["state"] == "ended")


async def test_word_on_an_account_before_the_end_does_not_count_and_is_not_remembered(world: World) -> None:
    host = await world.leased()
    allocation = await world.allocation(host)
    early = AccountReport(name=allocation["account"], allocation_id=allocation["id"], state="absent")
    await host.sync(accounts=[early])
    await world.end_lease(host)
    assert statuses(await world.allocation(host))["clean_account"] != "done"
    await host.sync(accounts=[early])
    await world.until_allocation(host, lambda found: found["state"] == "ended")


async def test_request_that_is_repeated_with_its_key_leases_once(world: World) -> None:
    host = await world.machine()
    body = {"machine_id": host.machine_id, "customer_id": world.customer["id"], "ends_at": in_days(3)}
    key = {"Idempotency-Key": secrets.token_hex(8)}
    first = await world.admin.post("/allocations", body, expect=201, headers=key)
    again = await world.admin.post("/allocations", body, expect=201, headers=key)
    assert first["id"] == again["id"]
    other = await world.admin.call("POST", "/allocations", body | {"note": "x"}, headers=key)
    assert (other.status, other.code) == (409, "idempotency_key_reused")


async def test_machine_that_was_leased_keeps_its_records_and_one_in_use_is_not_deleted(world: World) -> None:
    host = await world.leased()
    in_use = await world.admin.call("DELETE", f"/machines/{host.machine_id}")
    assert (in_use.status, in_use.code) == (409, "machine_in_use")
    async with host.running():
        await world.end_lease(host)
        await world.until_allocation(host, lambda found: found["state"] == "ended")
    past = await world.admin.call("DELETE", f"/machines/{host.machine_id}")
    assert (past.status, past.code) == (409, "machine_has_history")


async def test_trail_tells_the_whole_life_of_a_lease(world: World) -> None:
    host = await world.leased()
    async with host.running():
        await world.end_lease(host, "done with it")
        ended = await world.until_allocation(host, lambda found: found["state"] == "ended")
    trail = await world.admin.get(f"/audit?resource_id={ended['id']}&sort=id")
    assert [entry["action"] for entry in trail["items"]] == [
        "allocation.create",
        "allocation.active",
        "allocation.reclaiming",
        "allocation.ended",
    ]
    machine = await world.admin.get(f"/audit?resource_id={host.machine_id}&action=machine.state&sort=id")
    assert [entry["detail"]["to"] for entry in machine["items"]] == [
        "online",
        "allocated",
        "reclaiming",
        "online",
    ]
