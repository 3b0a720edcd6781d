"""A GPU host that is offline: what the platform's own knowledge says about why."""

import json

import pytest

from remotegpu.site.diagnosing import agent_judging
from remotegpu.site.diagnosing.steps import Answer, Verdict

MACHINE = {
    "id": "m",
    "name": "gpu-07",
    "state": "online",
    "reachable": True,
    "last_seen_at": "2026-11-24T12:00:00+00:00",
    "silent_s": 4,
    "clock_skew_s": 0.2,
    "revision": 5,
    "applied_revision": 5,
    "agent_version": "0.1.0",
    "addresses": ["10.0.0.7", "127.0.0.1"],
}


def known(machine: dict[str, object] | None, names: list[str] | None = None) -> Answer:
    said = json.dumps({"now": "…", "machine": machine, "names": names})
    return Answer(0, said + "\n", {})


def judged(**parts: object) -> Verdict:
    return agent_judging.machine("gpu-07")(known(MACHINE | parts))


def test_a_machine_that_reports_is_well() -> None:
    assert judged().level == "ok"


@pytest.mark.parametrize(
    ("parts", "level", "cause"),
    [
        ({"reachable": False, "silent_s": 754}, "problem", "the agent has been silent for 754 s"),
        ({"last_seen_at": None, "reachable": False}, "problem", "the agent never reported"),
        ({"clock_skew_s": -61.0}, "warning", "its clock is -61 s off"),
        ({"state": "quarantined"}, "warning", "the machine is quarantined, so nobody gets it"),
        ({"applied_revision": 3}, "warning", "the agent has not done yet what it was told"),
    ],
)
def test_what_is_known_of_it_says_what_is_wrong(parts: dict[str, object], level: str, cause: str) -> None:
    verdict = judged(**parts)
    assert (verdict.level, verdict.cause) == (level, cause)
    assert verdict.next_step


def test_a_name_that_was_mistyped_is_corrected() -> None:
    verdict = agent_judging.machine("gpu-70")(known(None, ["gpu-07", "lab-1"]))
    assert verdict.level == "problem"
    assert verdict.found == "there is no machine gpu-70; known: gpu-07, lab-1"
    assert verdict.next_step == "Did you mean gpu-07?"
    assert agent_judging.machine("x")(known(None)).found == "there is no machine x; known: none"


@pytest.mark.parametrize(
    ("all_", "lately", "level"),
    [(100, 19, "ok"), (100, 20, "problem"), (5, 2, "ok"), (5, 3, "problem"), (0, 0, "ok")],
)
def test_many_lost_at_once_are_not_each_ill(all_: int, lately: int, level: str) -> None:
    said = json.dumps({"all": all_, "unreachable": lately, "lately": lately})
    assert agent_judging.others(Answer(0, said, {})).level == level


def earlier(machine: dict[str, object] | None = MACHINE) -> dict[str, str]:
    return {agent_judging.MACHINE: known(machine).output}


def test_a_token_that_has_ended_asks_for_a_new_enrolment() -> None:
    ended = json.dumps({"tokens": 1, "valid": 0, "newest": "a", "last_end": "2026-11-01"})
    assert "enroll" in agent_judging.tokens(Answer(0, ended, earlier())).next_step
    assert agent_judging.tokens(Answer(0, ended, earlier(None))).level == "ok"
    valid = json.dumps({"tokens": 2, "valid": 1, "newest": "a", "last_end": "b"})
    assert agent_judging.tokens(Answer(0, valid, earlier())).level == "ok"


def line(address: str, status: int, path: str = "/api/v1/agent/sync") -> str:
    return json.dumps(
        {"time": "2026-11-24T12:00:00+00:00", "remote_addr": address, "path": path, "status": status}
    )


@pytest.mark.parametrize(
    ("lines", "level", "cause"),
    [
        ([line("10.0.0.7", 200)], "ok", ""),
        ([line("10.0.0.7", 200), line("10.0.0.7", 401)], "problem", "the platform refuses the host's token"),
        ([line("10.0.0.7", 401), line("10.0.0.7", 200)], "ok", ""),
        ([line("10.0.0.7", 502)], "problem", "the platform fails to answer the host"),
        (
            [line("10.0.0.8", 200)],
            "problem",
            "the host's requests do not reach the site, or come through NAT",
        ),
        ([line("10.0.0.7", 200, "/api/v1/tasks")], "problem", "no agent reaches the site"),
    ],
)
def test_what_nginx_saw_of_it_tells_the_token_the_site_and_the_way_apart(
    lines: list[str], level: str, cause: str
) -> None:
    silent = earlier(MACHINE | {"reachable": False})
    verdict = agent_judging.requests(Answer(0, "\n".join(lines), silent))
    assert (verdict.level, verdict.cause) == (level, cause)


def test_a_reachable_machine_from_another_address_comes_through_nat() -> None:
    assert agent_judging.requests(Answer(0, line("192.0.2.1", 200), earlier())).level == "ok"


def test_the_evidence_holds_the_hosts_own_requests_and_nobody_elses() -> None:
    log = "\n".join(
        [line("10.0.0.7", 200), line("10.0.0.8", 200), line("10.9.9.9", 200, "/api/v1/tasks"), "noise"]
    )
    assert agent_judging.own_lines(Answer(0, log, earlier())) == line("10.0.0.7", 200) + "\n"
    without = agent_judging.own_lines(Answer(0, log, earlier(None)))
    assert without == line("10.0.0.7", 200) + "\n" + line("10.0.0.8", 200) + "\n"


def test_open_problems_are_failed_ends_of_leases_and_tasks_that_lost_their_host() -> None:
    def work(attempts: list[object], allocations: list[object]) -> Answer:
        return Answer(
            0, json.dumps({"attempts": attempts, "allocations": allocations, "acts": []}), earlier()
        )

    failed = {"id": "a", "failed_steps": [{"name": "clean_account", "detail": "processes are left"}]}
    verdict = agent_judging.open_work(work([], [failed]))
    assert verdict.level == "problem"
    assert "clean_account failed: processes are left" in verdict.found
    lost = {"task": "t", "lease_is_over": True}
    assert agent_judging.open_work(work([lost], [])).level == "warning"
    healthy = {"id": "a", "failed_steps": None}
    assert agent_judging.open_work(work([lost | {"lease_is_over": False}], [healthy])).level == "ok"
    assert agent_judging.open_work(Answer(0, "", earlier(None))).level == "ok"
