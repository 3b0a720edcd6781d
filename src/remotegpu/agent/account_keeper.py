"""Acting on accounts: creating and wiping them one at a time, and remembering how that went."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog

from remotegpu.agent.accounts.adapter import AccountError, Accounts
from remotegpu.agent.backoff import Backoff
from remotegpu.agent.journal import AccountPhase, AccountRecord, Journal
from remotegpu.agent.reconciler import AccountView
from remotegpu.protocol.sync import AccountReport, AccountSpec, DesiredState

RETRY_FIRST_S = 2.0
RETRY_CAP_S = 60.0

log = structlog.get_logger()

Action = Coroutine[None, None, None]


class AccessControl(Protocol):
    """What cutting an account off needs from the access part."""

    def close_account(self, name: str) -> Awaitable[None]:
        """End every shell and stream of the account; done when they are gone."""
        ...


@dataclass(slots=True)
class _Known:
    """A recorded account, and when a failed action on it may be repeated (monotonic)."""

    record: AccountRecord
    due_at: float = 0.0


class AccountKeeper:
    """Keeps the accounts of this host. ``changed`` is called whenever there is something new to compare or tell.

    :meth:`ensure` and the others mark the account as busy at once and return what is then to be run.
    """

    def __init__(
        self, *, journal: Journal, accounts: Accounts, access: AccessControl, changed: Callable[[], None]
    ) -> None:
        self._journal = journal
        self._accounts = accounts
        self._access = access
        self._changed = changed
        self._known: dict[tuple[str, str], _Known] = {}
        self._busy: set[str] = set()
        self._backoffs: dict[str, Backoff] = {}
        self._turn = asyncio.Lock()  # `useradd` and `userdel` refuse to run side by side
        self.on_host: frozenset[str] = frozenset()

    @property
    def busy(self) -> frozenset[str]:
        """Accounts an action is under way for."""
        return frozenset(self._busy)

    async def load(self) -> None:
        """Read what earlier agents recorded, and what is on the host."""
        records = await asyncio.to_thread(self._journal.accounts)
        self._known = {(each.name, each.allocation_id): _Known(each) for each in records}
        await self._look_at_host()

    def views(self) -> dict[tuple[str, str], AccountView]:
        """Every recorded account as the reconciler sees it."""
        now = time.monotonic()
        return {
            key: AccountView(*key, known.record.phase, due=known.due_at <= now)
            for key, known in self._known.items()
        }

    def reports(self, desired: DesiredState) -> list[AccountReport]:
        """The state of every account that ``desired`` speaks of."""
        asked = {(each.name, each.allocation_id) for each in [*desired.accounts, *desired.cleanups]}
        return [
            AccountReport(
                name=record.name, allocation_id=record.allocation_id, state=record.phase, detail=record.detail
            )
            for record in (known.record for key, known in self._known.items() if key in asked)
        ]

    def ensure(self, spec: AccountSpec) -> Action:
        """Create the account."""
        self._busy.add(spec.name)
        return self._ensure(spec)

    def remove(self, name: str, allocation_id: str) -> Action:
        """Cut the account off, wipe it and look for what remains."""
        self._busy.add(name)
        return self._remove(name, allocation_id)

    def confirm_absent(self, name: str, allocation_id: str) -> Action:
        """Report an account as wiped whose name belongs to a later allocation by now."""
        self._busy.add(name)
        return self._confirm(name, allocation_id)

    def forget(self, name: str, allocation_id: str) -> Action:
        """Delete the record of a wiped account."""
        del self._known[name, allocation_id]
        return asyncio.to_thread(self._journal.forget_account, name, allocation_id)

    async def _ensure(self, spec: AccountSpec) -> None:
        with self._released(spec.name):
            try:
                async with self._turn:
                    await asyncio.to_thread(self._accounts.ensure, spec)
                await self._note(AccountRecord(spec.name, spec.allocation_id, "present"))
            except AccountError as error:
                await self._note(AccountRecord(spec.name, spec.allocation_id, "failed", str(error)))

    async def _remove(self, name: str, allocation_id: str) -> None:
        with self._released(name):
            await self._access.close_account(name)
            async with self._turn:
                proof = await asyncio.to_thread(self._accounts.remove, name)
            phase: AccountPhase = "absent" if proof.absent else "failed"
            await self._note(AccountRecord(name, allocation_id, phase, proof.detail()))

    async def _confirm(self, name: str, allocation_id: str) -> None:
        with self._released(name):
            await self._note(AccountRecord(name, allocation_id, "absent"))

    async def _note(self, record: AccountRecord) -> None:
        """Record the outcome, and come back later when it failed."""
        await asyncio.to_thread(self._journal.record_account, record)
        known = self._known[record.name, record.allocation_id] = _Known(record)
        await self._look_at_host()
        self._changed()
        if record.phase != "failed":
            self._backoffs.pop(record.name, None)
            log.info("account", name=record.name, allocation_id=record.allocation_id, state=record.phase)
            return
        log.error("account failed", name=record.name, detail=record.detail)
        delay = self._backoffs.setdefault(record.name, Backoff(RETRY_FIRST_S, RETRY_CAP_S)).next()
        known.due_at = time.monotonic() + delay
        asyncio.get_running_loop().call_later(delay, self._changed)

    async def _look_at_host(self) -> None:
        self.on_host = frozenset(await asyncio.to_thread(self._accounts.names))

    @contextmanager
    def _released(self, name: str) -> Generator[None]:
        """Whatever happens inside, the account is free for the next action afterwards."""
        try:
            yield
        finally:
            self._busy.discard(name)
