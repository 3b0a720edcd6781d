"""How the end of a lease goes on."""

from typing import Any

import pytest

from remotegpu.server.domains.allocations.reclaim import STEPS, Facts, statuses


def facts(**changes: Any) -> Facts:
    clean: dict[str, Any] = {
        "open_attempts": 0,
        "open_sessions": 0,
        "account_wiped": True,
        "account_detail": "",
        "reachable": True,
        "unreachable_since": "2026-11-24 06:30 UTC",
        "gpu_processes": 0,
    }
    return Facts(**{**clean, **changes})


def names(found: Facts) -> dict[str, str]:
    return {name: status.status for name, status in statuses(found).items()}


def test_clean_machine_has_every_step_done_in_order() -> None:
    assert list(statuses(facts())) == list(STEPS)
    assert set(names(facts()).values()) == {"done"}


@pytest.mark.parametrize(
    ("change", "step", "detail"),
    [
        ({"open_attempts": 2}, "stop_tasks", "2 task(s) still stopping"),
        ({"open_sessions": 1}, "close_sessions", "1 session(s) still closing"),
        ({"account_wiped": False}, "clean_account", ""),
    ],
)
def test_step_that_is_not_done_runs_and_keeps_the_check_waiting(
    change: dict[str, Any], step: str, detail: str
) -> None:
    found = statuses(facts(**change))
    assert (found[step].status, found[step].detail) == ("running", detail)
    assert found["check_machine"].status == "pending"
    assert found["revoke_access"].status == "done"


def test_failed_clean_up_says_what_was_found_and_that_it_is_tried_again() -> None:
    found = statuses(facts(account_wiped=False, account_detail="3 files remain"))["clean_account"]
    assert (found.status, found.detail) == ("failed", "3 files remain; the agent tries again")


def test_unreachable_machine_is_waited_for_and_said_so() -> None:
    found = statuses(facts(reachable=False, account_wiped=False, open_attempts=1))
    for step in ("stop_tasks", "clean_account"):
        assert found[step].status == "running"
        assert "unreachable since 2026-11-24 06:30 UTC" in found[step].detail
    assert names(facts(reachable=False))["check_machine"] == "running"


@pytest.mark.parametrize(("processes", "status"), [(None, "done"), (0, "done"), (1, "failed"), (7, "failed")])
def test_check_fails_while_processes_use_the_gpus(processes: int | None, status: str) -> None:
    assert names(facts(gpu_processes=processes))["check_machine"] == status
