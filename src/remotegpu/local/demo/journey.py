"""The acts in order. Each step's name is what a newcomer reads; each step proves what it says."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from remotegpu.client.api import Api
from remotegpu.client.errors import ApiError, ClientError
from remotegpu.client.models import Allocation, AllocationStep, AuditEntry, AuditVerdict, Machine
from remotegpu.client.terminal import Terminal, open_terminal
from remotegpu.client.tokens import FixedToken
from remotegpu.local.demo import machine as operator
from remotegpu.local.demo import people, training
from remotegpu.local.demo.report import Report
from remotegpu.protocol.streams import CLOSE_ACCESS_ENDED

SEAL_TIMEOUT_S = 15.0
SHOWN_AUDIT_ENTRIES = 14


class Journey:
    """One run against one server; ``run`` raises StepFailedError at the first step that fails."""

    def __init__(self, server: str, admin_email: str, admin_password: str, report: Report) -> None:
        self._server = server
        self._admin_email = admin_email
        self._admin_password = admin_password
        self._report = report
        self._started = datetime.now(UTC)
        self._open = AsyncExitStack()

    async def run(self) -> None:
        async with self._open:
            admin = await self._admin_signs_in()
            machine = await self._machine_comes_online(admin)
            company = await self._customer_is_created(admin)
            allocation = await self._machine_is_leased(admin, machine, company)
            member = await self._member_signs_in(company)
            shell = await self._member_opens_a_shell(member, machine)
            await self._member_trains(member, machine)
            await self._lease_is_ended(admin, member, machine, allocation, shell)
            await self._audit_is_verified(admin)

    async def _connect(self, access_token: str) -> Api:
        return await self._open.enter_async_context(Api(self._server, FixedToken(access_token)))

    async def _admin_signs_in(self) -> Api:
        with self._report.step("administrator signs in") as step:
            session = await people.sign_in(self._server, self._admin_email, self._admin_password)
            step.detail = self._admin_email
            return await self._connect(session.access_token)

    async def _machine_comes_online(self, admin: Api) -> Machine:
        with self._report.step("machine is online with its inventory") as step:
            machine = await operator.wait_until_online(admin)
            memory = (machine.memory_bytes or 0) / 2**30
            gpus = f"{machine.gpu_count} × {machine.gpu_model}" if machine.gpu_count else "no GPU"
            gpus += " (simulated)" if machine.simulated and "imulated" not in gpus else ""
            step.detail = (
                f"{machine.name}: {gpus}, {machine.cpu_threads} threads, {memory:.0f} GiB, {machine.os}"
            )
            return machine

    async def _customer_is_created(self, admin: Api) -> people.Company:
        with self._report.step("customer, owner and member are created") as step:
            company = await people.create_company(admin)
            step.detail = f"{company.customer.name}: {company.owner.email}, {company.member.email}"
            return company

    async def _machine_is_leased(self, admin: Api, machine: Machine, company: people.Company) -> Allocation:
        with self._report.step("machine is leased") as step:
            allocation = await operator.lease(admin, machine, company.customer)
            step.detail = f"{machine.name} to {company.customer.company_code} until {allocation.ends_at}"
            return allocation

    async def _member_signs_in(self, company: people.Company) -> Api:
        member = company.member
        with self._report.step("member signs in, must change the password") as step:
            first = await people.sign_in(self._server, member.email, member.initial_password)
            if not first.must_change_password or not await people.is_locked_to_password_change(
                self._server, first
            ):
                raise ClientError("the initial password was enough", "a forced change at the first sign-in")
            new = people.new_password()
            session = await people.change_password(self._server, first, member.initial_password, new)
            step.detail = member.email
        api = await self._connect(session.access_token)
        with self._report.step("member adds an SSH key") as step:
            step.detail = (await people.add_ssh_key(api)).fingerprint
        return api

    async def _member_opens_a_shell(self, member: Api, machine: Machine) -> Terminal:
        """The shell stays open: the end of the lease must close it."""
        with self._report.step("shell on the machine runs a command") as step:
            shell = await self._open.enter_async_context(open_terminal(member, machine.id))
            said = await shell.run("echo $((6*7)) as $(id -un)")
            if not said.startswith("42 as "):
                raise ClientError(f"the shell printed {said!r}", "'42 as ACCOUNT'")
            step.detail = f"it printed: {said}"
            return shell

    async def _member_trains(self, member: Api, machine: Machine) -> None:
        with self._report.step("training task is submitted") as step:
            task = await training.submit(member, machine)
            step.detail = f"{task.name}, {task.gpus} GPU"
        with self._report.step("training runs, its log arrives live") as step:
            await training.follow(member, task, self._report, step)
        with (
            self._report.step("artifacts match their SHA-256") as step,
            tempfile.TemporaryDirectory() as folder,
        ):
            metrics = await training.fetch_artifacts(member, task.id, Path(folder))
            step.detail = f"result.npz, metrics.json: accuracy {metrics['accuracy']}"

    async def _lease_is_ended(
        self, admin: Api, member: Api, machine: Machine, allocation: Allocation, shell: Terminal
    ) -> None:
        with self._report.step("lease is ended"):
            await operator.end_lease(admin, allocation.id, "end of the demo")
        with self._report.step("the open shell is closed") as step:
            closed = await shell.closed()
            if closed.code != CLOSE_ACCESS_ENDED:
                raise ClientError(f"close code {closed.code}", f"{CLOSE_ACCESS_ENDED} (access ended)")
            step.detail = f"code {closed.code}: {closed.reason}"
        with self._report.step("a new shell is refused") as step:
            step.detail = await refusal_of_shell(member, machine)
        with self._report.step("account is cleaned, machine is checked"):
            await operator.wait_until_ended(admin, allocation.id, self._tell)
        with self._report.step("machine is offered again") as step:
            free = await operator.wait_until_online(admin)
            step.detail = f"{free.name} is {free.state}"

    def _tell(self, done: AllocationStep) -> None:
        self._report.note(f"{done.name}: {done.detail or 'done'}")

    async def _audit_is_verified(self, admin: Api) -> None:
        with self._report.step("audit trail of all this") as step:
            since = self._started.isoformat().replace("+00:00", "Z")
            rows = await admin.items("/audit", {"since": since})
            entries = sorted((msgspec.json.decode(row, type=AuditEntry) for row in rows), key=lambda e: e.at)
            for entry in entries[-SHOWN_AUDIT_ENTRIES:]:
                who = entry.actor_name or "system"
                self._report.note(f"{entry.at}  {entry.outcome:<8} {entry.action:<28} {who}")
            denied = sum(entry.outcome == "denied" for entry in entries)
            step.detail = f"{len(entries)} entries, {denied} of them refusals"
            if not denied:
                raise ClientError("no refusal in the trail", "the refused shell")
        with self._report.step("audit hash chain is verified") as step:
            verdict = await wait_until_sealed(admin)
            step.detail = f"{verdict.sealed} entries sealed"


async def refusal_of_shell(member: Api, machine: Machine) -> str:
    """Raises :class:`ClientError` when the shell opens."""
    try:
        async with open_terminal(member, machine.id):
            raise ClientError("a new shell opened after the lease", "a refusal")
    except ApiError as error:
        return f"{error.status} {error.code}"


async def wait_until_sealed(admin: Api) -> AuditVerdict:
    """The chain is sealed a moment after the fact; a verdict with nothing pending covers everything up to it."""
    deadline = asyncio.get_running_loop().time() + SEAL_TIMEOUT_S
    while True:
        verdict = await admin.get("/audit/verify", AuditVerdict)
        if not verdict.ok:
            raise ClientError(f"the hash chain is broken: {verdict.detail}", "an unbroken chain")
        if not verdict.pending:
            return verdict
        if asyncio.get_running_loop().time() > deadline:
            raise ClientError(
                f"{verdict.pending} entries still unsealed", "all sealed", "remotegpu logs worker"
            )
        await asyncio.sleep(0.2)
