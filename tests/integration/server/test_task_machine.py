"""Any order of submitting, reporting, stopping, losing and ending: nothing overlaps, nothing is lost, nothing illegal.

Hypothesis drives the real functions on the real database. ``Scenario`` is one machine with one lease.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import uuid7
from remotegpu.protocol.attempts import AttemptReport
from remotegpu.server.core.context import Caller, Role
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import ConflictError, NotFoundError
from remotegpu.server.core.services import Services, open_services
from remotegpu.server.domains.allocations import ending
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.auth.models import User
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.tasks import attempts, repository, scheduling, service, states
from remotegpu.server.domains.tasks.models import Attempt, Task
from remotegpu.server.domains.tasks.schemas import TaskCreate
from remotegpu.server.settings import load

LEASE = timedelta(minutes=5)
GPUS = 3
REPORTED = ("running", "succeeded", "failed", "timed_out", "stopped")


class Scenario:
    """The world the rules act on, and an event loop to act in."""

    def __init__(self, runner: asyncio.Runner, services: Services) -> None:
        self._runner = runner
        self._services = services
        self.machine_id, self.allocation_id, self.customer_id, self.user_id = (uuid7() for _ in range(4))
        self.do(self._prepare)

    def do(self, act: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
        """``act`` in a transaction of its own."""

        async def run() -> Any:
            async with transaction(self._services.sessions) as tx:
                return await act(tx)

        return self._runner.run(run())

    async def _prepare(self, tx: AsyncSession) -> None:
        now, code = utc_now(), f"c{self.customer_id.hex[-12:]}"
        tx.add(Customer(id=self.customer_id, company_code=code, name=code, status="active", created_at=now))
        tx.add(
            Machine(
                id=self.machine_id,
                name=code,
                state="allocated",
                reachable=True,
                gpu_count=GPUS,
                cpu_threads=4,
                created_at=now,
            )
        )
        await tx.flush()
        tx.add(
            User(
                id=self.user_id,
                email=f"{code}@example.com",
                display_name=code,
                role="customer_member",
                customer_id=self.customer_id,
                password_hash="-",
                must_change_password=False,
                disabled=False,
                created_at=now,
            )
        )
        tx.add(
            Allocation(
                id=self.allocation_id,
                machine_id=self.machine_id,
                customer_id=self.customer_id,
                state="active",
                account=f"rg-{code}",
                starts_at=now,
                ends_at=now + timedelta(days=1),
                created_at=now,
            )
        )

    @property
    def caller(self) -> Caller:
        return Caller(
            user_id=self.user_id,
            email="somebody@example.com",
            display_name="Somebody",
            role=Role.MEMBER,
            customer_id=self.customer_id,
        )

    def tasks(self) -> dict[uuid.UUID, Task]:
        async def read(tx: AsyncSession) -> dict[uuid.UUID, Task]:
            rows = await tx.scalars(select(Task).where(Task.machine_id == self.machine_id))
            return {task.id: task for task in rows}

        return self.do(read)

    def attempts(self) -> list[Attempt]:
        async def read(tx: AsyncSession) -> list[Attempt]:
            query = select(Attempt).where(Attempt.machine_id == self.machine_id).order_by(Attempt.number)
            return list(await tx.scalars(query))

        return self.do(read)


class TaskMachine(RuleBasedStateMachine):
    """``make`` gives a fresh scenario; it is set by the test that runs this."""

    make: Callable[[], Scenario]
    submitted = Bundle("submitted")

    @initialize()
    def begin(self) -> None:
        self.scenario = type(self).make()
        self.known: dict[uuid.UUID, str] = {}
        self.stopped: set[uuid.UUID] = set()
        self.is_leased = True

    @rule(
        target=submitted,
        gpus=st.integers(0, GPUS),
        priority=st.integers(1, 10),
        max_retries=st.integers(0, 2),
    )
    def submit(self, gpus: int, priority: int, max_retries: int) -> object:
        body = TaskCreate(
            machine_id=self.scenario.machine_id,
            name="work",
            kind="shell",
            command="true",
            gpus=gpus,
            priority=priority,
            max_retries=max_retries,
        )
        try:
            task = self.scenario.do(lambda tx: service.submit(tx, self.scenario.caller, body, LEASE))
        except NotFoundError:
            assert not self.is_leased
            return multiple()
        assert self.is_leased
        self.known[task.id] = "submitted"
        return task.id

    @rule(task=submitted, nth=st.integers(0, 2), state=st.sampled_from(REPORTED))
    def report(self, task: uuid.UUID, nth: int, state: str) -> None:
        """About any attempt of the task, the latest or one long gone."""
        its = [attempt for attempt in self.scenario.attempts() if attempt.task_id == task]
        if not its:
            return
        attempt = its[min(nth, len(its) - 1)]
        told = AttemptReport(attempt_id=str(attempt.id), state=state, exit_code=0)  # pyright: ignore[reportArgumentType]
        stands = self.scenario.do(lambda tx: attempts.report(tx, self.scenario.machine_id, told, LEASE))
        is_open = attempt.state in repository.OPEN
        same = attempt.state != "lost" and state in {attempt.state, "running"}
        assert stands == (is_open or same)

    @rule(task=submitted)
    def report_from_elsewhere(self, task: uuid.UUID) -> None:
        """Another machine has no say in it."""
        other = type(self).make()
        for attempt in self.scenario.attempts():
            if attempt.task_id == task:
                told = AttemptReport(attempt_id=str(attempt.id), state="failed")
                assert not other.do(lambda tx, told=told: attempts.report(tx, other.machine_id, told, LEASE))

    @rule(task=submitted, then=st.sampled_from(("", "failed", "timed_out", "stopped")))
    def stop(self, task: uuid.UUID, then: str) -> None:
        """Ask for it; ``then`` the agent says at once how it ended, if at all."""
        before = self.scenario.tasks()[task].state
        try:
            self.scenario.do(lambda tx: service.stop(tx, task, "the test"))
            self.stopped.add(task)
        except ConflictError:
            assert before in repository.FINAL
        if then:
            self.report(task, nth=10, state=then)

    @rule(task=submitted)
    def lease_runs_out(self, task: uuid.UUID) -> None:
        async def expire(tx: AsyncSession) -> list[tuple[uuid.UUID, uuid.UUID]]:
            past = utc_now() - timedelta(seconds=1)
            await tx.execute(update(Attempt).where(Attempt.task_id == task).values(lease_expires_at=past))
            return await attempts.expired(tx, utc_now())

        for attempt_id, machine_id in self.scenario.do(expire):
            if machine_id == self.scenario.machine_id:
                self.scenario.do(
                    lambda tx, lost=attempt_id: attempts.lose(tx, lost, self.scenario.machine_id, LEASE)
                )

    @rule()
    def renew_everything(self) -> None:
        ids = [attempt.id for attempt in self.scenario.attempts()]
        ended = self.scenario.do(lambda tx: attempts.renew(tx, ids, LEASE))
        assert ended == {a.id for a in self.scenario.attempts() if a.state not in repository.OPEN}

    @rule()
    def back_off_is_over(self) -> None:
        async def place(tx: AsyncSession) -> None:
            mine = Task.machine_id == self.scenario.machine_id
            await tx.execute(update(Task).where(mine).values(not_before=utc_now()))
            await scheduling.place_on(tx, self.scenario.machine_id, LEASE)

        self.scenario.do(place)

    @rule(reachable=st.booleans(), maintenance=st.booleans())
    def machine_changes(self, reachable: bool, maintenance: bool) -> None:
        async def change(tx: AsyncSession) -> None:
            await tx.execute(
                update(Machine)
                .where(Machine.id == self.scenario.machine_id)
                .values(reachable=reachable, maintenance=maintenance)
            )

        self.scenario.do(change)

    @precondition(lambda self: len(self.known) >= 4)
    @rule(task=consumes(submitted))
    def lease_ends(self, task: uuid.UUID) -> None:
        assert task in self.known
        try:
            self.scenario.do(lambda tx: ending.end(tx, self.scenario.allocation_id, "the test"))
        except ConflictError:
            assert not self.is_leased
        self.is_leased = False

    @invariant()
    def nothing_overlaps_and_nothing_is_lost(self) -> None:
        if not hasattr(self, "scenario"):
            return
        tasks, its = self.scenario.tasks(), self.scenario.attempts()
        assert tasks.keys() == self.known.keys(), "a task was lost, or made up"
        running = [attempt for attempt in its if attempt.state in repository.OPEN]
        gpus = [index for attempt in running for index in attempt.gpu_indices]
        assert len(gpus) == len(set(gpus)), "two attempts hold one GPU"
        assert set(gpus) <= set(range(GPUS))
        for task in tasks.values():
            self._check(task, [attempt for attempt in its if attempt.task_id == task.id])

    def _check(self, task: Task, its: list[Attempt]) -> None:
        open_ones = [attempt for attempt in its if attempt.state in repository.OPEN]
        assert len(its) == task.attempt <= task.max_retries + 1
        assert [attempt.number for attempt in its] == list(range(1, len(its) + 1))
        if task.state in repository.OPEN:
            assert [attempt.state for attempt in open_ones] == [task.state]
            assert len(open_ones[0].gpu_indices) == task.gpus
        else:
            assert open_ones == []
        assert (task.state in repository.FINAL) == (task.finished_at is not None)
        if (before := self.known[task.id]) in repository.FINAL:
            assert task.state == before, "a final task changed"
        if task.id in self.stopped:
            assert task.state != "queued", "what was stopped is not tried again"
        if not self.is_leased:
            assert task.state != "queued", "what waits is cancelled with the lease"
        self.known[task.id] = task.state

    def teardown(self) -> None:
        if hasattr(self, "scenario"):
            self._run_dry()
            self._check_trail()

    def _run_dry(self) -> None:
        """Let every attempt end: afterwards every task is final."""
        self.machine_changes(reachable=True, maintenance=False)
        for _ in range(len(self.known) * 3 + 1):
            self.back_off_is_over()
            for attempt in self.scenario.attempts():
                if attempt.state in repository.OPEN:
                    told = AttemptReport(attempt_id=str(attempt.id), state="succeeded", exit_code=0)
                    self.scenario.do(
                        lambda tx, told=told: attempts.report(tx, self.scenario.machine_id, told, LEASE)
                    )
        left = {task.state for task in self.scenario.tasks().values()} - set(repository.FINAL)
        assert left == set(), "a task never ended"

    def _check_trail(self) -> None:
        """Every change of state that was written down is a legal one, and follows the one before it."""

        async def read(tx: AsyncSession) -> list[Any]:
            query = text(
                "SELECT resource_id, detail->>'from', detail->>'to' FROM audit_logs WHERE resource_type = 'task' "
                "AND detail ? 'from' AND resource_id = ANY(:ids) ORDER BY id"
            )
            return list((await tx.execute(query, {"ids": [str(task) for task in self.known]})).all())

        now = dict.fromkeys(map(str, self.known), "queued")
        for task, previous, wanted in self.scenario.do(read):
            assert previous == now[task]
            assert wanted in states.TRANSITIONS[previous]
            now[task] = wanted
        assert now == {str(task.id): task.state for task in self.scenario.tasks().values()}


@pytest.fixture(scope="module")
def make_scenario(module_server_env: dict[str, str]) -> Iterator[Callable[[], Scenario]]:
    with asyncio.Runner() as runner:
        services = open_services(load(module_server_env))
        yield lambda: Scenario(runner, services)
        runner.run(services.close())


def test_tasks_keep_their_promises_in_any_order_of_events(make_scenario: Callable[[], Scenario]) -> None:
    made = type("BoundTaskMachine", (TaskMachine,), {"make": staticmethod(make_scenario)})
    run_state_machine_as_test(
        made,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
