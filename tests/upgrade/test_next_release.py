"""This code works while and after the next release's ``pre`` migrations are applied, and not after its ``post``."""

import asyncio
from pathlib import Path

import migration_files as files
import server_client as sc
from remotegpu.server.migrations import run
from services import Stack
from upgrade.releases import NEXT

PRE = ("9001_pre_notes", "9002_pre_tier", "9003_pre_rack", "9004_pre_index")


async def journey(admin: sc.Client) -> None:
    """What people do all day: a company, a member, a host, a lease with a note, a task, its end."""
    customer = await sc.new_customer(admin)
    member = await sc.new_member(admin, customer["id"])
    agent = await sc.FakeAgent.enrol(admin)
    body = {
        "machine_id": agent.machine_id,
        "customer_id": customer["id"],
        "ends_at": sc.in_days(1),
        "note": "rack 7",
    }
    allocation = await admin.post("/allocations", body, expect=201)
    await agent.sync()
    task = {"machine_id": agent.machine_id, "name": "t", "kind": "shell", "command": "true"}
    made = await member.post("/tasks", task, expect=201)
    for path in ("/machines", "/tasks", "/allocations", "/sessions"):
        await member.get(path)
    await member.post(f"/tasks/{made['id']}/stop")
    ended = await admin.post(f"/allocations/{allocation['id']}/end", {"reason": "done"})
    assert ended["note"] == "rack 7"


async def watch(client: sc.Client, stop: asyncio.Event) -> list[int]:
    """Statuses of calls that read and write, one after the other, until told to stop."""
    statuses: list[int] = []
    while not stop.is_set():
        statuses.append((await client.call("GET", "/allocations")).status)
        body = {"company_code": f"w{len(statuses)}", "name": "while migrating"}
        statuses.append((await client.call("POST", "/customers", body)).status)
    return statuses


async def readiness(client: sc.Client) -> tuple[int, str]:
    answer = await client.call("GET", "//health/ready")
    return answer.status, answer.json["checks"]["schema"]


async def test_this_code_works_against_the_next_releases_schema_until_it_contracts(
    server_env: dict[str, str], stack: Stack, tmp_path: Path
) -> None:
    with files.environment(server_env), sc.running_server(server_env, tmp_path) as server:
        async with sc.http_session() as http:
            admin = await sc.first_admin(http, server)
            await journey(admin)
            stop = asyncio.Event()
            watching = asyncio.create_task(watch(admin, stop))
            done = await asyncio.to_thread(run.upgrade, "pre", folders=NEXT)
            stop.set()
            statuses = await watching
            assert done.applied == PRE
            assert statuses
            assert set(statuses) == {200, 201}, "nobody noticed the migration"
            await journey(admin)
            assert await readiness(admin) == (200, "ok")
            with sc.running_server(server_env, tmp_path) as restarted:
                again = await sc.Client(http, restarted.url).sign_in(sc.ADMIN_EMAIL, admin.password)
                await journey(again)
            assert (await asyncio.to_thread(run.upgrade)).applied == (), (
                "this version's own migrate does nothing"
            )
            with stack.connect(server_env) as connection:
                kept = connection.execute("SELECT DISTINCT text FROM allocation_notes").fetchall()
                assert kept == [("rack 7",)], "what this code writes is there for the next release"

            await asyncio.to_thread(run.upgrade, "post", folders=NEXT)
            status, said = await readiness(admin)
            assert status == 503
            assert said.startswith("9005_post_contract removed what this version needs")
            plan = await asyncio.to_thread(run.plan)
            contracting = [known.revision for known in plan.revisions if known.contracts and known.applied]
            assert contracting == ["9005_post_contract"], "so a deployer can refuse to come back"
