"""What is decided, for each state a host can be in."""

from typing import Any

from remotegpu.agent.reconciler import (
    LEASE_ENDED_GRACE_S,
    AccountView,
    Actual,
    AttemptView,
    ConfirmAbsent,
    DropAttempt,
    EnsureAccount,
    ForgetAccount,
    RemoveAccount,
    ReviveAttempt,
    SettleAttempt,
    StartAttempt,
    StopAttempt,
    decide,
)
from remotegpu.protocol.attempts import AttemptSpec
from remotegpu.protocol.sync import AccountCleanup, AccountSpec, DesiredState

ACME = AccountSpec(name="acme", allocation_id="lease-1")
ACME_LATER = AccountSpec(name="acme", allocation_id="lease-2")
CLEAN_ACME = AccountCleanup(name="acme", allocation_id="lease-1")


def spec(attempt_id: str = "a1", task_id: str = "t1", **fields: Any) -> AttemptSpec:
    given = {"number": 1, "account": "acme", "kind": "shell", "command": "true", "grace_s": 7} | fields
    return AttemptSpec(attempt_id=attempt_id, task_id=task_id, **given)


def view(attempt_id: str = "a1", task_id: str = "t1", *, alive: bool = True, **fields: Any) -> AttemptView:
    return AttemptView(attempt_id, task_id, "acme", alive, grace_s=7, **fields)


def account(phase: str = "present", allocation_id: str = "lease-1", **fields: Any) -> AccountView:
    return AccountView("acme", allocation_id, phase, **fields)  # type: ignore[arg-type]


def actual(*views: AttemptView, accounts: tuple[AccountView, ...] = (account(),), **fields: Any) -> Actual:
    hosted = frozenset(each.name for each in accounts if each.phase != "absent")
    return Actual(
        attempts={each.attempt_id: each for each in views},
        accounts={(each.name, each.allocation_id): each for each in accounts},
        **({"host_accounts": hosted} | fields),
    )


def desired(*attempts: AttemptSpec, **fields: Any) -> DesiredState:
    return DesiredState(revision=1, attempts=list(attempts), **({"accounts": [ACME]} | fields))


def test_nothing_to_do_when_all_is_as_it_should_be() -> None:
    assert decide(desired(spec()), actual(view())) == []
    assert decide(DesiredState(revision=1), Actual()) == []


def test_account_is_made_before_its_attempts_start() -> None:
    assert decide(desired(spec()), actual(accounts=())) == [EnsureAccount(ACME)]
    assert decide(desired(spec()), actual(accounts=(), busy_accounts=frozenset({"acme"}))) == []
    assert decide(desired(spec()), actual()) == [StartAttempt(spec())]


def test_attempt_waits_for_every_process_of_an_earlier_attempt_of_its_task() -> None:
    second = spec("a2", number=2)
    assert decide(desired(second), actual(view("a1", stop_grace_s=7.0))) == []
    assert decide(desired(second), actual(view("a1", alive=False))) == [
        DropAttempt("a1"),
        StartAttempt(second),
    ]
    assert decide(desired(spec(), second), actual()) == [StartAttempt(spec())]


def test_attempts_of_different_tasks_run_side_by_side() -> None:
    other = spec("a2", "t2")
    assert decide(desired(spec(), other), actual(view())) == [StartAttempt(other)]


def test_stop_is_asked_for_once_and_with_the_attempts_own_grace() -> None:
    stopping = desired(spec(stop=True))
    assert decide(stopping, actual(view())) == [StopAttempt("a1", 7)]
    assert decide(stopping, actual(view(stop_grace_s=7.0))) == []
    assert decide(stopping, actual(view(alive=False))) == []


def test_attempt_stopped_before_it_started_is_reported_and_never_started() -> None:
    (action,) = decide(desired(spec(stop=True)), actual())
    assert isinstance(action, SettleAttempt)
    assert action.state == "stopped"


def test_attempt_of_an_account_without_lease_fails_with_the_reason() -> None:
    (action,) = decide(desired(spec(account="other")), actual())
    assert isinstance(action, SettleAttempt)
    assert action.state == "failed"
    assert "'other'" in action.reason


def test_attempt_that_is_no_longer_desired_is_stopped_then_dropped() -> None:
    assert decide(desired(), actual(view())) == [StopAttempt("a1", 7)]
    assert decide(desired(), actual(view(stop_grace_s=7.0))) == []
    assert decide(desired(), actual(view(alive=False))) == [DropAttempt("a1")]


def test_refused_attempt_counts_as_not_desired() -> None:
    refused = frozenset({"a1"})
    assert decide(desired(spec()), actual(view(), refused=refused)) == [StopAttempt("a1", 7)]
    assert decide(desired(spec()), actual(view(alive=False), refused=refused)) == [DropAttempt("a1")]
    assert decide(desired(spec()), actual(refused=refused)) == []


def test_forgotten_attempt_is_reported_again_not_run_again() -> None:
    assert decide(desired(spec()), actual(forgotten=frozenset({"a1"}))) == [ReviveAttempt("a1")]


def test_end_of_lease_kills_attempts_first_and_wipes_when_they_are_gone() -> None:
    ended = desired(spec(), accounts=[], cleanups=[CLEAN_ACME])
    assert decide(ended, actual(view())) == [StopAttempt("a1", LEASE_ENDED_GRACE_S)]
    assert decide(ended, actual(view(alive=False))) == [RemoveAccount("acme", "lease-1")]
    assert decide(ended, actual(view(alive=False), busy_accounts=frozenset({"acme"}))) == []
    assert decide(ended, actual(view(alive=False), accounts=(account("absent"),))) == []


def test_end_of_lease_shortens_the_grace_of_a_stop_under_way() -> None:
    ended = desired(accounts=[], cleanups=[CLEAN_ACME])
    assert decide(ended, actual(view(stop_grace_s=7.0))) == [StopAttempt("a1", LEASE_ENDED_GRACE_S)]
    assert decide(ended, actual(view(stop_grace_s=LEASE_ENDED_GRACE_S))) == []


def test_attempt_whose_lease_ended_before_it_started_is_not_started() -> None:
    actions = decide(desired(spec(), accounts=[], cleanups=[CLEAN_ACME]), actual())
    assert [type(action) for action in actions] == [SettleAttempt, RemoveAccount]


def test_failed_wipe_is_repeated_when_it_is_due() -> None:
    ended = desired(accounts=[], cleanups=[CLEAN_ACME])
    assert decide(ended, actual(accounts=(account("failed", due=False),))) == []
    assert decide(ended, actual(accounts=(account("failed", due=True),))) == [
        RemoveAccount("acme", "lease-1")
    ]


def test_account_in_neither_list_is_wiped_and_then_forgotten() -> None:
    assert decide(desired(accounts=[]), actual()) == [RemoveAccount("acme", "lease-1")]
    assert decide(desired(accounts=[]), actual(accounts=(account("absent"),))) == [
        ForgetAccount("acme", "lease-1")
    ]


def test_account_an_earlier_installation_left_is_wiped() -> None:
    left = actual(accounts=(), host_accounts=frozenset({"stranger"}))
    assert decide(desired(accounts=[]), left) == [RemoveAccount("stranger", "")]


def test_leased_account_without_a_record_is_taken_over_not_wiped() -> None:
    assert decide(desired(), actual(accounts=(), host_accounts=frozenset({"acme"}))) == [EnsureAccount(ACME)]


def test_next_lease_under_the_same_name_starts_only_on_a_wiped_account() -> None:
    next_lease = desired(accounts=[ACME_LATER], cleanups=[CLEAN_ACME])
    assert decide(next_lease, actual()) == [RemoveAccount("acme", "lease-1")]
    assert decide(next_lease, actual(accounts=(account("failed", due=False),))) == []
    assert decide(next_lease, actual(accounts=(account("absent"),))) == [EnsureAccount(ACME_LATER)]
    both = (account("absent"), account("present", "lease-2"))
    assert decide(next_lease, actual(accounts=both)) == []


def test_lease_that_replaced_another_without_a_clean_up_is_wiped_in_between() -> None:
    assert decide(desired(accounts=[ACME_LATER]), actual()) == [RemoveAccount("acme", "lease-1")]


def test_late_clean_up_of_an_earlier_lease_does_not_touch_the_present_one() -> None:
    late = desired(accounts=[ACME_LATER], cleanups=[CLEAN_ACME])
    present = actual(accounts=(account("present", "lease-2"),))
    assert decide(late, present) == [ConfirmAbsent("acme", "lease-1")]


def test_failed_account_is_tried_again_when_it_is_due_and_holds_up_its_attempts() -> None:
    assert decide(desired(spec()), actual(accounts=(account("failed", due=False),))) == []
    assert decide(desired(spec()), actual(accounts=(account("failed"),))) == [EnsureAccount(ACME)]
