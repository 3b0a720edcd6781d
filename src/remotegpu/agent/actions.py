"""The one place that acts: it keeps what is, asks the reconciler what to do, and does it.

Every action runs as a task of its own and none blocks the event loop; when one is done, everything is compared again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace

import structlog

from remotegpu.agent import reconciler
from remotegpu.agent.account_keeper import AccessControl, AccountKeeper
from remotegpu.agent.accounts.adapter import Accounts
from remotegpu.agent.backoff import Backoff
from remotegpu.agent.journal import AttemptRecord, Journal
from remotegpu.agent.reconciler import Actual, AttemptView
from remotegpu.agent.tasks.adapter import AttemptExit, AttemptRunner
from remotegpu.agent.tasks.lifecycle import AttemptLife, Surroundings
from remotegpu.agent.tasks.uplink import Uplink
from remotegpu.protocol.attempts import AttemptReport, AttemptSpec
from remotegpu.protocol.sync import AccountReport, DesiredState

DROP_RETRY_S = 30.0
FAILED_ACTION_RETRY_S = 5.0

log = structlog.get_logger()


class Actor:
    """Makes the host match the desired state. ``news`` is called when the server should hear something at once."""

    def __init__(
        self,
        *,
        journal: Journal,
        runner: AttemptRunner,
        accounts: Accounts,
        access: AccessControl,
        uplink: Uplink,
        news: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._runner = runner
        self._news = news
        self._accounts = AccountKeeper(
            journal=journal, accounts=accounts, access=access, changed=self._changed
        )
        self._surroundings = Surroundings(
            journal=journal, runner=runner, uplink=uplink, account_of=accounts.lookup, news=self._changed
        )
        self._desired: DesiredState | None = None
        self._lives: dict[str, AttemptLife] = {}
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._forgotten: frozenset[str] = frozenset()
        self._refused: frozenset[str] = frozenset()
        self._acting: set[asyncio.Task[None]] = set()
        self._dropping: set[str] = set()
        self._swept = False

    async def adopt(self) -> None:
        """Take over what earlier agents began: their attempts go on where they were."""
        records = await asyncio.to_thread(self._journal.attempts)
        await self._accounts.load()
        for record in records:
            self._drive(AttemptLife(record, self._surroundings))
        if records:
            log.info("attempts adopted", count=len(records))

    async def apply(self, desired: DesiredState) -> None:
        """Make ``desired`` the goal from now on."""
        self._desired = desired
        unknown = [spec.attempt_id for spec in desired.attempts if spec.attempt_id not in self._lives]
        if unknown:
            found = await asyncio.to_thread(lambda: [self._journal.find(each) for each in unknown])
            self._forgotten = frozenset(each.spec.attempt_id for each in found if each is not None)
        self._refused &= {spec.attempt_id for spec in desired.attempts}
        self.reconcile()
        if not self._swept:
            self._swept = True
            keep = {spec.attempt_id for spec in desired.attempts} | self._lives.keys()
            self._act(self._runner.sweep(keep))

    def refuse(self, attempt_ids: list[str]) -> None:
        """The server refuses reports of these attempts: stop and forget them."""
        if attempt_ids:
            log.warning("server refuses attempts", attempt_ids=attempt_ids)
            self._refused |= frozenset(attempt_ids)
            self.reconcile()

    def attempt_reports(self) -> list[AttemptReport]:
        """What the server should know about attempts."""
        lives = [life for life in self._lives.values() if life.attempt_id not in self._refused]
        return [report for life in lives if (report := life.report()) is not None]

    def account_reports(self) -> list[AccountReport]:
        """The state of every account the server speaks of."""
        return self._accounts.reports(self._desired) if self._desired is not None else []

    def reconcile(self) -> None:
        """Compare and begin what is to do. Returns at once."""
        if self._desired is None:
            return
        self._refused |= {life.attempt_id for life in self._lives.values() if life.refused}
        for action in reconciler.decide(self._desired, self._actual()):
            self._begin(action)

    async def close(self) -> None:
        """Stop acting. Attempts and shells go on without us."""
        tasks = [*self._acting, *self._driving.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _actual(self) -> Actual:
        return Actual(
            attempts={
                life.attempt_id: _attempt_view(life)
                for life in self._lives.values()
                if life.attempt_id not in self._dropping
            },
            accounts=self._accounts.views(),
            host_accounts=self._accounts.on_host,
            busy_accounts=self._accounts.busy,
            forgotten=self._forgotten - self._lives.keys(),
            refused=self._refused | self._dropping,
        )

    def _begin(self, action: reconciler.Action) -> None:
        match action:
            case reconciler.StartAttempt(spec):
                self._drive(self._new_life(spec), new=True)
            case reconciler.SettleAttempt(spec, state, reason):
                self._drive(self._new_life(spec), AttemptExit(outcome=state, reason=reason), new=True)
            case reconciler.StopAttempt(attempt_id, grace_s):
                life = self._lives[attempt_id]
                life.stop_grace_s = grace_s
                self._act(life.stop(grace_s))
            case reconciler.DropAttempt(attempt_id):
                self._dropping.add(attempt_id)
                self._act(self._drop(attempt_id))
            case reconciler.ReviveAttempt(attempt_id):
                self._forgotten -= {attempt_id}
                self._act(self._revive(attempt_id))
            case reconciler.EnsureAccount(spec):
                self._act(self._accounts.ensure(spec))
            case reconciler.RemoveAccount(name, allocation_id):
                self._act(self._accounts.remove(name, allocation_id))
            case reconciler.ConfirmAbsent(name, allocation_id):
                self._act(self._accounts.confirm_absent(name, allocation_id))
            case reconciler.ForgetAccount(name, allocation_id):
                self._act(self._accounts.forget(name, allocation_id))

    def _act(self, action: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(action)
        self._acting.add(task)
        task.add_done_callback(self._acted)

    def _acted(self, task: asyncio.Task[None]) -> None:
        self._acting.discard(task)
        if task.cancelled():
            return
        if error := task.exception():
            log.error("action failed", error=repr(error), exc_info=error)
            asyncio.get_running_loop().call_later(FAILED_ACTION_RETRY_S, self.reconcile)
            return
        self.reconcile()

    def _changed(self) -> None:
        """An attempt moved on: others may have waited for it, and the server wants to know."""
        self.reconcile()
        self._news()

    def _new_life(self, spec: AttemptSpec) -> AttemptLife:
        return AttemptLife(AttemptRecord(spec=spec, phase="starting"), self._surroundings)

    def _drive(self, life: AttemptLife, ended: AttemptExit | None = None, *, new: bool = False) -> None:
        self._lives[life.attempt_id] = life
        task = asyncio.create_task(self._live(life, ended, new=new))
        self._driving[life.attempt_id] = task

    async def _live(self, life: AttemptLife, ended: AttemptExit | None, *, new: bool) -> None:
        """Carry an attempt to its final report, whatever gets in the way (a full disk, say)."""
        backoff = Backoff(1.0, 30.0)
        while True:
            try:
                if new:
                    await self._enter(life, ended)
                    new = False
                await life.run()
            except Exception as error:  # whatever it is: logged, tried again, and no other attempt suffers
                log.exception("attempt is stuck", attempt_id=life.attempt_id, error=repr(error))
                await asyncio.sleep(backoff.next())
            else:
                self._changed()
                return

    async def _enter(self, life: AttemptLife, ended: AttemptExit | None) -> None:
        """Write the attempt down before anything of it exists. One that was known already is not started again."""
        if await asyncio.to_thread(self._journal.record_starting, life.record.spec):
            if ended is not None:
                await asyncio.to_thread(self._journal.record_exit, life.attempt_id, ended)
                life.record = replace(life.record, phase="exited", exit=ended)
            return
        await asyncio.to_thread(self._journal.revive, life.attempt_id)
        known = await asyncio.to_thread(self._journal.find, life.attempt_id)
        assert known is not None, "the journal refused it as known"
        life.record = known

    async def _revive(self, attempt_id: str) -> None:
        await asyncio.to_thread(self._journal.revive, attempt_id)
        record = await asyncio.to_thread(self._journal.find, attempt_id)
        if record is not None and attempt_id not in self._lives:
            log.info("server asks again for a forgotten attempt", attempt_id=attempt_id)
            self._drive(AttemptLife(record, self._surroundings))

    async def _drop(self, attempt_id: str) -> None:
        """Files first: after a crash in between, the journal still knows that there is something to delete."""
        life = self._lives[attempt_id]
        try:
            driving = self._driving.pop(attempt_id)
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)
            await self._runner.discard(attempt_id)
            await asyncio.to_thread(self._journal.record_dropped, life.record.spec)
            del self._lives[attempt_id]
        except OSError as error:
            log.exception("attempt's files cannot be deleted", attempt_id=attempt_id, error=str(error))
            await asyncio.sleep(DROP_RETRY_S)
        finally:
            self._dropping.discard(attempt_id)


def _attempt_view(life: AttemptLife) -> AttemptView:
    spec = life.record.spec
    return AttemptView(
        attempt_id=spec.attempt_id,
        task_id=spec.task_id,
        account=spec.account,
        alive=life.alive,
        grace_s=spec.grace_s,
        stop_grace_s=life.stop_grace_s,
        gpu_indices=frozenset(spec.gpu_indices),
    )
