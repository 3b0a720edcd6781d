"""Comparing what should be with what is. Pure: :func:`decide` answers with actions, ``actions.py`` does them.

It is called again whenever something changed, with everything known then; it never remembers. An action that is
under way shows in :class:`Actual` (``busy_accounts``, an attempt that exists), so it is not decided twice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from remotegpu.agent.journal import AccountPhase
from remotegpu.protocol.attempts import AttemptSpec, FinalState
from remotegpu.protocol.sync import AccountSpec, DesiredState

LEASE_ENDED_GRACE_S = 1.0
"""Once a lease has ended a program may still close its files, but not hold up the clean-up."""


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt as it is. ``alive``: a process of it may exist. ``stop_grace_s``: of the stop already asked for."""

    attempt_id: str
    task_id: str
    account: str
    alive: bool
    grace_s: float = 10.0
    stop_grace_s: float | None = None
    gpu_indices: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account of one allocation as it is. ``due``: after a failure, whether to try again now."""

    name: str
    allocation_id: str
    phase: AccountPhase
    due: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """All that is. ``host_accounts``: accounts of ours found on the host, recorded or not.

    ``forgotten``: attempts in the desired state that were reported and dropped before.
    ``refused``: attempts whose reports the server refuses: as good as not desired.
    """

    attempts: Mapping[str, AttemptView] = field(default_factory=dict[str, AttemptView])
    accounts: Mapping[tuple[str, str], AccountView] = field(
        default_factory=dict[tuple[str, str], AccountView]
    )
    host_accounts: frozenset[str] = frozenset()
    busy_accounts: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Begin a new attempt."""

    spec: AttemptSpec


@dataclass(frozen=True, slots=True)
class SettleAttempt:
    """Report an attempt that never starts here."""

    spec: AttemptSpec
    state: FinalState
    reason: str


@dataclass(frozen=True, slots=True)
class StopAttempt:
    """End a running attempt."""

    attempt_id: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class DropAttempt:
    """Forget an ended attempt and delete its files."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class ReviveAttempt:
    """Report a forgotten attempt once more."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class EnsureAccount:
    """Create an account."""

    spec: AccountSpec


@dataclass(frozen=True, slots=True)
class RemoveAccount:
    """Wipe an account and prove it."""

    name: str
    allocation_id: str


@dataclass(frozen=True, slots=True)
class ConfirmAbsent:
    """Report an account as wiped without touching the host, where its name belongs to a later allocation."""

    name: str
    allocation_id: str


@dataclass(frozen=True, slots=True)
class ForgetAccount:
    """Delete the record of a wiped account nobody asks about."""

    name: str
    allocation_id: str


Action = (
    StartAttempt
    | SettleAttempt
    | StopAttempt
    | DropAttempt
    | ReviveAttempt
    | EnsureAccount
    | RemoveAccount
    | ConfirmAbsent
    | ForgetAccount
)


def decide(desired: DesiredState, actual: Actual) -> list[Action]:
    """What to do now to get from ``actual`` towards ``desired``."""
    return [
        *_end_attempts(desired, actual),
        *_begin_attempts(desired, actual),
        *_clean_accounts(desired, actual),
        *_make_accounts(desired, actual),
    ]


def _wanted(desired: DesiredState, actual: Actual) -> dict[str, AttemptSpec]:
    return {spec.attempt_id: spec for spec in desired.attempts if spec.attempt_id not in actual.refused}


def _end_attempts(desired: DesiredState, actual: Actual) -> Iterator[Action]:
    wanted = _wanted(desired, actual)
    kept = _kept_accounts(desired)
    for view in actual.attempts.values():
        spec = wanted.get(view.attempt_id)
        if spec is None and not view.alive:
            yield DropAttempt(view.attempt_id)
            continue
        grace_s = view.grace_s if spec is None or spec.stop else None
        if view.account not in kept:
            grace_s = LEASE_ENDED_GRACE_S
        if view.alive and grace_s is not None and (view.stop_grace_s is None or grace_s < view.stop_grace_s):
            yield StopAttempt(view.attempt_id, grace_s)


def _begin_attempts(desired: DesiredState, actual: Actual) -> Iterator[Action]:
    """What may begin now. An attempt that was given up while we were away may still run: whoever follows it on its
    task or on one of its GPUs waits for its end."""
    kept = _kept_accounts(desired)
    alive = [view for view in actual.attempts.values() if view.alive]
    running_tasks = {view.task_id for view in alive}
    busy_gpus = frozenset[int]().union(*(view.gpu_indices for view in alive))
    for spec in sorted(_wanted(desired, actual).values(), key=lambda spec: spec.number):
        if spec.attempt_id in actual.attempts:
            continue
        if spec.attempt_id in actual.forgotten:
            yield ReviveAttempt(spec.attempt_id)
        elif spec.stop:
            yield SettleAttempt(spec, "stopped", "stopped before it started")
        elif spec.account not in kept:
            yield SettleAttempt(
                spec, "failed", f"account {spec.account!r} has no lease on this machine (any more)"
            )
        elif (
            _is_present(kept[spec.account], actual)
            and spec.task_id not in running_tasks
            and busy_gpus.isdisjoint(spec.gpu_indices)
        ):
            running_tasks.add(spec.task_id)
            yield StartAttempt(spec)


def _clean_accounts(desired: DesiredState, actual: Actual) -> Iterator[Action]:
    """Wipe what was asked for, what another allocation left under a name, and what nobody speaks of."""
    asked = {(cleanup.name, cleanup.allocation_id) for cleanup in desired.cleanups}
    leased = {(spec.name, spec.allocation_id) for spec in _kept_accounts(desired).values()}
    recorded = {key for key, view in actual.accounts.items() if view.phase != "absent"}
    named = {name for name, _ in asked | leased | recorded}
    strangers = {(name, "") for name in actual.host_accounts - named}
    for name, allocation_id in sorted((asked | recorded | strangers) - leased):
        view = actual.accounts.get((name, allocation_id))
        if view is not None and (view.phase == "absent" or not view.due):
            continue
        if view is None and any(key in leased for key in recorded if key[0] == name):
            yield ConfirmAbsent(name, allocation_id)
        elif name not in actual.busy_accounts and not _has_live_attempts(name, actual):
            yield RemoveAccount(name, allocation_id)
    for key, view in actual.accounts.items():
        if view.phase == "absent" and key not in asked and key not in leased:
            yield ForgetAccount(*key)


def _make_accounts(desired: DesiredState, actual: Actual) -> Iterator[Action]:
    """Create what is leased, once nothing of an earlier allocation is left under the same name."""
    for name, spec in _kept_accounts(desired).items():
        view = actual.accounts.get((name, spec.allocation_id))
        settled = view is not None and (view.phase == "present" or not view.due)
        if settled or name in actual.busy_accounts or _has_predecessor(spec, desired, actual):
            continue
        yield EnsureAccount(spec)


def _kept_accounts(desired: DesiredState) -> dict[str, AccountSpec]:
    """Accounts to have, by name. One that is also to be cleaned for the same allocation is not kept."""
    ending = {(cleanup.name, cleanup.allocation_id) for cleanup in desired.cleanups}
    return {spec.name: spec for spec in desired.accounts if (spec.name, spec.allocation_id) not in ending}


def _has_predecessor(spec: AccountSpec, desired: DesiredState, actual: Actual) -> bool:
    earlier = {
        (cleanup.name, cleanup.allocation_id) for cleanup in desired.cleanups if cleanup.name == spec.name
    }
    unclean = {key for key in earlier if key not in actual.accounts}
    unclean |= {
        key for key, view in actual.accounts.items() if key[0] == spec.name and view.phase != "absent"
    }
    return bool(unclean - {(spec.name, spec.allocation_id)})


def _is_present(spec: AccountSpec, actual: Actual) -> bool:
    view = actual.accounts.get((spec.name, spec.allocation_id))
    return view is not None and view.phase == "present" and spec.name not in actual.busy_accounts


def _has_live_attempts(account: str, actual: Actual) -> bool:
    return any(view.alive and view.account == account for view in actual.attempts.values())
