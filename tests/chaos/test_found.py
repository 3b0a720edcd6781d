"""What chaos runs have found, each as the smallest scenario that shows it again."""

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path

from psycopg import sql

from remotegpu.agent import reconciler
from remotegpu.agent.reconciler import AccountView, Actual, AttemptView, StartAttempt, StopAttempt
from remotegpu.local import roles
from remotegpu.protocol.attempts import AttemptReport, AttemptSpec
from remotegpu.protocol.sync import AccountSpec, DesiredState
from remotegpu.server import settings, sweeps
from remotegpu.server.core.services import open_services
from remotegpu.server.domains.access import instances
from remotegpu.server.domains.tasks import logs
from server_client import Client, FakeAgent, first_admin, http_session, lease, new_customer, running_server
from services import Stack

ACCOUNT = AccountSpec(name="acme", allocation_id="lease")
PRESENT = {("acme", "lease"): AccountView("acme", "lease", "present")}


def spec(attempt_id: str, task_id: str, gpus: list[int]) -> AttemptSpec:
    return AttemptSpec(
        attempt_id=attempt_id,
        task_id=task_id,
        number=1,
        account="acme",
        kind="shell",
        command="true",
        gpu_indices=gpus,
    )


def test_an_attempt_waits_for_a_gpu_that_a_given_up_one_still_uses() -> None:
    desired = DesiredState(revision=1, accounts=[ACCOUNT], attempts=[spec("new", "other", [0])])
    view = AttemptView("old", "given up", "acme", alive=True, gpu_indices=frozenset({0, 1}))
    assert reconciler.decide(desired, Actual(attempts={"old": view}, accounts=PRESENT)) == [
        StopAttempt("old", view.grace_s)
    ]
    assert reconciler.decide(desired, Actual(accounts=PRESENT)) == [StartAttempt(desired.attempts[0])]


async def test_the_log_of_an_attempt_whose_agent_came_back_in_the_last_moment_stays_open(
    server_env: Mapping[str, str], tmp_path: Path
) -> None:
    """The sweep had listed it as expired, and then found it renewed."""
    with running_server(server_env, tmp_path) as server:
        services = open_services(settings.load(server.env))
        async with http_session() as http:
            admin = await first_admin(http, server)
            machine = await leased_machine(admin)
            task = await admin.post("/tasks", task_for(machine), expect=201)
            attempt_id = uuid.UUID(task["attempts"][0]["id"])
            await machine.sync(attempts=[AttemptReport(attempt_id=str(attempt_id), state="running")])
            await logs.settle(services, attempt_id)
            assert not (await logs.position_of(services.sessions, attempt_id)).final
        await services.close()


async def test_logs_of_lost_attempts_are_closed_although_the_worker_that_gave_them_up_has_died(
    stack: Stack, server_env: Mapping[str, str], tmp_path: Path
) -> None:
    with running_server(server_env, tmp_path) as server:
        services = open_services(settings.load(server.env))
        async with http_session() as http:
            admin = await first_admin(http, server)
            task = await admin.post("/tasks", task_for(await leased_machine(admin)), expect=201)
            attempt_id = uuid.UUID(task["attempts"][0]["id"])
            with stack.connect(dict(server_env)) as superuser:
                superuser.execute("UPDATE attempts SET state = 'lost' WHERE id = %s", [attempt_id])
            await sweeps.Expiry().run(services)
            assert (await logs.position_of(services.sessions, attempt_id)).final
        await services.close()


async def test_time_without_a_database_does_not_count_as_having_listened_to_agents(
    stack: Stack, server_env: Mapping[str, str], tmp_path: Path
) -> None:
    """Else the first sweep after a long outage would give up every attempt before its agent could speak."""
    name = sql.Identifier(server_env["DB_NAME"])
    with (
        running_server(server_env, tmp_path) as server,
        roles.connect(stack.port, stack.secrets) as superuser,
    ):
        services = open_services(settings.load(server.env))
        superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [server_env["DB_NAME"]],
        )
        await asyncio.sleep(3 * instances.BEAT_SECONDS)
        superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
        assert await instances.heard_for(services) < 2 * instances.BEAT_SECONDS
        await services.close()


async def test_a_request_repeated_before_the_first_was_answered_gets_the_same_answer(
    server_env: Mapping[str, str], tmp_path: Path
) -> None:
    with running_server(server_env, tmp_path) as server:
        async with http_session() as http:
            admin = await first_admin(http, server)
            body = task_for(await leased_machine(admin))
            key = {"Idempotency-Key": str(uuid.uuid4())}
            answers = await asyncio.gather(
                *(admin.call("POST", "/tasks", body, headers=key) for _ in range(5))
            )
            assert [answer.status for answer in answers] == [201] * 5
            assert len({answer.json["id"] for answer in answers}) == 1
            assert (await admin.get("/tasks"))["total"] == 1


async def leased_machine(admin: Client) -> FakeAgent:
    machine = await FakeAgent.enrol(admin)
    customer = await new_customer(admin)
    await lease(admin, machine.machine_id, customer["id"])
    return machine


def task_for(machine: FakeAgent) -> dict[str, str]:
    return {"machine_id": machine.machine_id, "name": "once", "kind": "shell", "command": "true"}
