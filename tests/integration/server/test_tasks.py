"""Tasks: from submission to their end, whatever happens on the way."""

import asyncio
import secrets
from datetime import datetime

import pytest

from integration.server.conftest import World, eventually
from remotegpu.protocol.attempts import ArtifactFile, AttemptReport
from simulated_agent import (
    RefusedError,
    SimulatedAgent,
    run_until_stopped,
    simulated_inventory,
    succeed_at_once,
)


async def finish_next(host: SimulatedAgent, state: str = "succeeded", **fields: object) -> str:
    """Run the next attempt through, scripted; returns its id."""
    await host.sync()
    spec = await host.next_attempt()
    host.begin(spec.attempt_id)
    await host.sync()
    host.finish(spec.attempt_id, state, **fields)  # pyright: ignore[reportArgumentType] - one of the final states
    await host.sync()
    return spec.attempt_id


def due_now(world: World, task_id: str) -> None:
    """The back-off of a retry is over."""
    world.sql("UPDATE tasks SET not_before = now() WHERE id = %s", task_id)


async def test_task_goes_from_assigned_through_running_to_its_end(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host, command="train", args=["--fast"], env={"SEED": "1"}, timeout_s=60, gpus=1)
    assert task["state"] == "assigned"
    assert task["attempt"] == 1
    await host.sync()
    spec = await host.next_attempt()
    assert (spec.command, spec.args, spec.env, spec.timeout_s) == ("train", ["--fast"], {"SEED": "1"}, 60)
    assert spec.account == f"rg-{world.customer['company_code']}"
    assert spec.gpu_indices == [0]
    host.begin(spec.attempt_id)
    await host.sync()
    assert (await world.task(task["id"]))["state"] == "running"
    host.finish(spec.attempt_id)
    await host.sync()
    done = await world.task(task["id"])
    assert (done["state"], done["exit_code"]) == ("succeeded", 0)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    assert host.desired.attempts == []


async def test_task_that_ends_before_its_start_was_reported_has_both_times(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host)
    await host.sync()
    spec = await host.next_attempt()
    host.finish(spec.attempt_id)
    await host.sync()
    done = await world.task(task["id"])
    assert done["state"] == "succeeded"
    assert done["started_at"] is not None
    assert done["finished_at"] is not None


@pytest.mark.parametrize(("state", "exit_code"), [("failed", 3), ("timed_out", -9), ("failed", None)])
async def test_unhappy_end_is_shown_with_its_reason(world: World, state: str, exit_code: int | None) -> None:
    host = await world.leased()
    task = await world.submit(host)
    await finish_next(host, state, exit_code=exit_code, reason="as the test wants")
    done = await world.task(task["id"])
    assert (done["state"], done["exit_code"], done["reason"]) == (state, exit_code, "as the test wants")


async def test_gpus_never_overlap_and_what_waits_says_why(world: World) -> None:
    host = await world.leased(inventory=simulated_inventory("big", gpus=4))
    tasks = [await world.submit(host, gpus=gpus) for gpus in (2, 1, 2, 1)]
    await host.sync()
    used = [index for spec in host.desired.attempts for index in spec.gpu_indices]
    assert sorted(used) == [0, 1, 2]
    waiting = await world.task(tasks[2]["id"])
    assert waiting["state"] == "queued"
    assert waiting["reason"] == "waits for 2 free GPU(s), 1 free now"
    assert (await world.task(tasks[3]["id"]))["state"] == "queued", "it must not overtake the task before it"
    first = host.desired.attempts[0].attempt_id
    host.begin(first)
    host.finish(first)
    await host.sync()
    used = [index for spec in host.desired.attempts for index in spec.gpu_indices]
    assert sorted(used) == [0, 1, 2, 3]


async def test_higher_priority_starts_first_and_equal_priority_in_order(world: World) -> None:
    host = await world.leased(inventory=simulated_inventory("one", gpus=1))
    await world.submit(host, gpus=1, name="holds the GPU")
    for name, priority in (("low", 1), ("first", 5), ("second", 5), ("high", 10)):
        await world.submit(host, gpus=1, name=name, priority=priority)
    order: list[str] = []
    for _ in range(5):
        await finish_next(host)
        listed = (await world.admin.get(f"/tasks?machine_id={host.machine_id}&page_size=50"))["items"]
        for task in listed:
            if task["state"] == "succeeded" and task["name"] not in order:
                order.append(task["name"])
    assert order == ["holds the GPU", "high", "first", "second", "low"]


async def test_task_that_cannot_run_here_is_refused_with_every_problem(world: World) -> None:
    host = await world.leased()
    body = {"machine_id": host.machine_id, "name": "x", "kind": "script", "command": "echo", "gpus": 9}
    answer = await world.member.call("POST", "/tasks", body)
    assert (answer.status, answer.code) == (422, "impossible_task")
    assert {problem["field"] for problem in answer.json["errors"]} == {"gpus", "command"}


async def test_tasks_wait_for_a_machine_in_maintenance_or_out_of_reach(world: World) -> None:
    host = await world.leased()
    await world.admin.patch(f"/machines/{host.machine_id}", {"maintenance": True})
    task = await world.submit(host)
    assert (task["state"], task["reason"]) == ("queued", "waits: the machine is in maintenance")
    await world.admin.patch(f"/machines/{host.machine_id}", {"maintenance": False})
    await world.until_task(task["id"], "assigned")
    await finish_next(host)
    await world.cut_off(host)
    task = await world.submit(host)
    assert (task["state"], task["reason"]) == ("queued", "waits: the machine is unreachable")
    await host.sync()
    await world.until_task(task["id"], "assigned")


async def test_failed_task_is_tried_again_with_back_off_and_then_given_up(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host, max_retries=2)
    for number in (1, 2, 3):
        await finish_next(host, "failed", exit_code=number)
        found = await world.task(task["id"])
        if number < 3:
            assert found["state"] == "queued"
            assert f"attempt {number} failed" in found["reason"]
            assert "retries at" in found["reason"]
            due = world.sql("SELECT not_before - now() FROM tasks WHERE id = %s", task["id"])[0][0]
            assert due.total_seconds() == pytest.approx(2**number, abs=1.5)
            due_now(world, task["id"])
            await world.until_task(task["id"], "assigned")
    assert (found["state"], found["exit_code"], found["attempt"]) == ("failed", 3, 3)
    assert [attempt["state"] for attempt in found["attempts"]] == ["failed"] * 3


async def test_retries_that_wait_do_not_hold_up_other_tasks(world: World) -> None:
    host = await world.leased()
    for _ in range(3):
        await world.submit(host, max_retries=1, priority=10)
        await finish_next(host, "failed")
    task = await world.submit(host, priority=1)
    assert task["state"] == "assigned"


async def test_stop_of_a_waiting_task_cancels_it(world: World) -> None:
    host = await world.leased(inventory=simulated_inventory("one", gpus=1))
    await world.submit(host, gpus=1)
    waiting = await world.submit(host, gpus=1)
    stopped = await world.member.post(f"/tasks/{waiting['id']}/stop", {})
    assert stopped["state"] == "cancelled"
    assert stopped["finished_at"] is not None


async def test_stop_of_a_task_before_it_began_and_while_it_runs(world: World) -> None:
    host = await world.leased()
    for begin in (False, True):
        task = await world.submit(host, max_retries=3)
        await host.sync()
        spec = await host.next_attempt()
        if begin:
            host.begin(spec.attempt_id)
            await host.sync()
        asked = await world.member.post(f"/tasks/{task['id']}/stop", {})
        assert asked["state"] == ("running" if begin else "assigned")
        assert asked["reason"].startswith("stopping: stopped by")
        await host.sync()
        stopping = host.spec(spec.attempt_id)
        assert stopping is not None
        assert stopping.stop
        host.finish(spec.attempt_id, "stopped", exit_code=None)
        await host.sync()
        done = await world.task(task["id"])
        assert done["state"] == "stopped", "and not tried again"
        assert done["reason"].startswith("stopped by")


async def test_stop_of_a_task_that_waits_for_its_retry_cancels_it(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host, max_retries=3)
    await finish_next(host, "failed")
    assert (await world.member.post(f"/tasks/{task['id']}/stop", {}))["state"] == "cancelled"
    due_now(world, task["id"])
    await asyncio.sleep(1.5)
    assert (await world.task(task["id"]))["state"] == "cancelled"


async def test_failure_after_stop_was_asked_is_final(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host, max_retries=3)
    await host.sync()
    spec = await host.next_attempt()
    host.begin(spec.attempt_id)
    await world.member.post(f"/tasks/{task['id']}/stop", {})
    host.finish(spec.attempt_id, "failed")
    await host.sync()
    assert (await world.task(task["id"]))["state"] == "failed"


async def test_final_task_cannot_be_stopped(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host)
    await finish_next(host)
    answer = await world.member.call("POST", f"/tasks/{task['id']}/stop", {})
    assert (answer.status, answer.code) == (409, "task_is_final")


async def test_reports_that_are_repeated_change_nothing(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host)
    attempt_id = await finish_next(host)
    done = await world.task(task["id"])
    running = AttemptReport(attempt_id=attempt_id, state="running")
    succeeded = AttemptReport(attempt_id=attempt_id, state="succeeded", exit_code=0)
    failed = AttemptReport(attempt_id=attempt_id, state="failed", exit_code=1)
    with world.another_server() as other:  # which has seen none of it
        for url in (world.server.url, other.url):
            host.server_url = url
            for _ in range(2):
                assert (await host.sync(attempts=[running, succeeded])).refused_attempts == []
            assert (await host.sync(attempts=[failed])).refused_attempts == [attempt_id]
    assert await world.task(task["id"]) == done


async def test_report_of_another_machines_attempt_is_refused(world: World) -> None:
    owner, liar = await world.leased(), await world.leased()
    task = await world.submit(owner)
    await owner.sync()
    attempt_id = (await owner.next_attempt()).attempt_id
    owner.begin(attempt_id)
    await owner.sync()
    for state in ("running", "failed"):
        answer = await liar.sync(attempts=[AttemptReport(attempt_id=attempt_id, state=state)])
        assert answer.refused_attempts == [attempt_id], state
    assert (await world.task(task["id"]))["state"] == "running"
    with pytest.raises(RefusedError) as log_refused:
        await liar.push_log(attempt_id, b"x", offset=0)
    with pytest.raises(RefusedError) as upload_refused:
        await liar.upload(attempt_id, {"a": b"x"})
    assert (log_refused.value.status, upload_refused.value.status) == (404, 404)


@pytest.mark.parametrize("attempt_id", ["", "nonsense", "../..", "00000000-0000-7000-8000-000000000000"])
async def test_report_of_an_attempt_nobody_knows_is_refused(world: World, attempt_id: str) -> None:
    host = await world.machine()
    answer = await host.sync(attempts=[AttemptReport(attempt_id=attempt_id, state="succeeded")])
    assert answer.refused_attempts == [attempt_id]


async def test_hostile_artifacts_in_a_report_are_left_out_and_the_report_stands(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host)
    good = ArtifactFile(path="ok.txt", size_bytes=1, sha256="a" * 64)
    bad = [
        ArtifactFile(path="../up", size_bytes=1, sha256="a" * 64),
        ArtifactFile(path="/etc/passwd", size_bytes=1, sha256="a" * 64),
        ArtifactFile(path="n\x00l", size_bytes=1, sha256="a" * 64),
        ArtifactFile(path="hash", size_bytes=1, sha256="../../artifacts/of/others"),
        ArtifactFile(path="size", size_bytes=-1, sha256="a" * 64),
        ArtifactFile(path="huge", size_bytes=2**70, sha256="a" * 64),
        good,
    ]
    await finish_next(host, artifacts=[good, *bad], reason="a\x00b")
    done = await world.task(task["id"])
    assert done["state"] == "succeeded"
    assert [file["path"] for file in done["artifacts"]] == ["ok.txt"]
    assert "7 artifact(s) left out" in done["reason"]


async def test_exit_code_beyond_all_systems_is_refused_and_changes_nothing(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host)
    await host.sync()
    host.finish((await host.next_attempt()).attempt_id, exit_code=2**40)
    with pytest.raises(RefusedError) as caught:
        await host.sync()
    assert caught.value.status == 422
    assert (await world.task(task["id"]))["state"] == "assigned"


@pytest.mark.parametrize("field", [{"started_at": 1e300}, {"finished_at": -1e300}, {"started_at": -1.0}])
async def test_times_beyond_all_calendars_are_bounded(world: World, field: dict[str, float]) -> None:
    host = await world.leased()
    task = await world.submit(host)
    await host.sync()
    spec = await host.next_attempt()
    host.finish(spec.attempt_id, **field)
    await host.sync()
    done = await world.task(task["id"])
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]


async def test_submission_that_is_repeated_with_its_key_makes_one_task(world: World) -> None:
    host = await world.leased()
    key = {"Idempotency-Key": secrets.token_hex(8)}
    body = {"machine_id": host.machine_id, "name": "once", "kind": "shell", "command": "true"}
    first = await world.member.post("/tasks", body, expect=201, headers=key)
    again = await world.member.post("/tasks", body, expect=201, headers=key)
    assert first["id"] == again["id"]
    at_once = {"Idempotency-Key": secrets.token_hex(8)}
    answers = await asyncio.gather(
        *(world.member.call("POST", "/tasks", body | {"name": "at once"}, headers=at_once) for _ in range(6))
    )
    assert {answer.status for answer in answers} == {201}
    assert [answer.json for answer in answers] == [answers[0].json] * len(answers)
    rows = world.sql("SELECT name FROM tasks WHERE machine_id = %s ORDER BY name", host.machine_id)
    assert rows == [("at once",), ("once",)]


async def test_two_hundred_submissions_at_once_all_run_exactly_once(world: World) -> None:
    host = await world.leased(work=succeed_at_once, inventory=simulated_inventory("many", cpu_threads=32))
    async with host.running():
        submitted = await asyncio.gather(*(world.submit(host, name=f"task {n}") for n in range(200)))
        await eventually(
            lambda: world.admin.get(f"/tasks?machine_id={host.machine_id}&state=succeeded&page_size=1"),
            lambda listed: listed["total"] == 200,
            seconds=60,
        )
    assert len({task["id"] for task in submitted}) == 200
    assert len(host.starts) == len(set(host.starts)) == 200
    rows = world.sql("SELECT state, attempt FROM tasks WHERE machine_id = %s", host.machine_id)
    assert rows == [("succeeded", 1)] * 200


async def test_task_starts_and_ends_within_milliseconds_on_an_idle_host(world: World) -> None:
    host = await world.leased(work=succeed_at_once)
    async with host.running():
        for _ in range(3):
            task = await world.submit(host)
            done = await world.until_task(task["id"], "succeeded")
            delay = datetime.fromisoformat(done["started_at"]) - datetime.fromisoformat(done["created_at"])
            assert delay.total_seconds() < 1


async def test_members_of_another_company_see_and_touch_nothing(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host)
    _, stranger = await world.new_company()
    body = {"machine_id": host.machine_id, "name": "x", "kind": "shell", "command": "true"}
    assert (await stranger.call("POST", "/tasks", body)).status == 404
    assert (await stranger.call("POST", f"/tasks/{task['id']}/stop", {})).status == 404
    for path in ("", "/log", "/log/stream", "/artifacts"):
        assert (await stranger.call("GET", f"/tasks/{task['id']}{path}")).status == 404
    assert (await stranger.get("/tasks"))["total"] == 0


async def test_values_of_the_environment_are_not_shown(world: World) -> None:
    host = await world.leased()
    task = await world.submit(host, env={"TOKEN": "hush-hush"})
    answer = await world.member.call("GET", f"/tasks/{task['id']}")
    assert answer.json["env_keys"] == ["TOKEN"]
    assert b"hush-hush" not in answer.body


async def test_lease_that_ends_stops_the_task_on_the_host(world: World) -> None:
    host = await world.leased(work=run_until_stopped)
    task = await world.submit(host)
    async with host.running():
        await world.until_task(task["id"], "running")
        await world.end_lease(host, "over")
        stopped = await world.until_task(task["id"], "stopped")
    assert stopped["reason"] == "over"
