"""What the platform knows of one GPU host, and what that means. Pure."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from remotegpu.site.config.problems import closest
from remotegpu.site.diagnosing import psql
from remotegpu.site.diagnosing.judging import unseen
from remotegpu.site.diagnosing.steps import Answer, Judge, Verdict

MACHINE = "machine"
"""Name of the step that asks for it; later ones read its answer."""
PATHS = "/api/v1/agent/"
MASS_SHARE = 0.2
"""So many hosts lost at once are not each ill: the site or the network between is."""
MASS_LEAST = 3
SKEW_S = 30.0
REFUSED = {401, 403}
SERVER_ERROR = 500


def machine(node: str) -> Judge:
    """``node``: its name or id, as it was asked for."""

    def judge(answer: Answer) -> Verdict:
        found = psql.value(answer)
        if not isinstance(found, dict):
            return unseen(answer)
        one = found["machine"]
        if one is None:
            return _nobody(node, found["names"] or [])
        said = (
            f"{one['name']}: {one['state']}, {'reachable' if one['reachable'] else 'unreachable'}, "
            f"last seen {one['last_seen_at'] or 'never'}, agent {one['agent_version'] or '?'}"
        )
        if one["last_seen_at"] is None:
            return Verdict("problem", said, "the agent never reported", ON_THE_HOST, is_symptom=True)
        if not one["reachable"]:
            cause = f"the agent has been silent for {one['silent_s']} s"
            return Verdict("problem", said, cause, ON_THE_HOST, is_symptom=True)
        return _reachable(one, said)

    return judge


ON_THE_HOST = "Run the commands below on the host."


def _nobody(node: str, names: list[str]) -> Verdict:
    meant = closest(node, names)
    remedy = f"Did you mean {meant}?" if meant else "Name one by its name or id; the console lists them."
    said = f"there is no machine {node}; known: {', '.join(names[:10]) or 'none'}"
    return Verdict("problem", said, f"nobody enrolled a machine {node}", remedy)


def _reachable(one: dict[str, Any], said: str) -> Verdict:  # Any: the query's JSON
    skew = one["clock_skew_s"]
    if skew is not None and abs(skew) > SKEW_S:
        return Verdict(
            "warning", said, f"its clock is {skew:.0f} s off", "Set it on the host: timedatectl set-ntp true"
        )
    if one["state"] == "quarantined":
        return Verdict(
            "warning",
            said,
            "the machine is quarantined, so nobody gets it",
            "See why in its history, mend it, and bring it back in the console.",
        )
    if one["applied_revision"] < one["revision"]:
        behind = one["revision"] - one["applied_revision"]
        return Verdict(
            "warning",
            f"{said}, {behind} changes not applied",
            "the agent has not done yet what it was told",
            "Read its log on the host.",
        )
    return Verdict("ok", said)


def known_machine(answer: Answer) -> dict[str, Any] | None:  # Any: the query's JSON
    """What the first step found; None when there is no such machine, or nobody could be asked."""
    found = psql.read(answer.earlier.get(MACHINE, ""))
    return found["machine"] if isinstance(found, dict) else None


def others(answer: Answer) -> Verdict:
    """Whether this host is alone in its trouble."""
    found = psql.value(answer)
    if not isinstance(found, dict):
        return unseen(answer)
    lately = f"{found['lately']} of them for less than 30 minutes"
    said = f"{found['unreachable']} of {found['all']} machines unreachable, {lately}"
    if found["lately"] >= max(MASS_LEAST, MASS_SHARE * found["all"]):
        remedy = (
            "Look at the site and the network first: remotegpu site status; remotegpu site diagnose backend"
        )
        return Verdict("problem", said, "many machines were lost at once, so it is not this host", remedy)
    return Verdict("ok", said)


def tokens(answer: Answer) -> Verdict:
    found = psql.value(answer)
    if not isinstance(found, dict):
        return unseen(answer)
    if known_machine(answer) is None:
        return Verdict("ok", "nothing to ask")
    if found["valid"]:
        return Verdict("ok", f"{found['valid']} valid, the newest of {found['newest']}")
    remedy = (
        "Enrol it again: make a join token in the console, then on the host: remotegpu-agent enroll --force"
    )
    return Verdict(
        "problem",
        f"none is valid, the last ended {found['last_end']}",
        "the host's token has ended, so it is refused",
        remedy,
    )


def open_work(answer: Answer) -> Verdict:
    """Its open problems: attempts whose lease is over, ends of leases that did not come through."""
    if answer.code != 0:
        return unseen(answer)
    found = psql.value(answer)
    if not isinstance(found, dict):
        return Verdict("ok", "nothing to ask")
    over = [one for one in found["attempts"] if one["lease_is_over"]]
    failed = [step for one in found["allocations"] for step in one["failed_steps"] or []]
    said = f"{len(found['attempts'])} tasks and {len(found['allocations'])} leases open"
    if failed:
        step = failed[0]
        return Verdict(
            "problem",
            f"{said}; {step['name']} failed: {step['detail']}",
            f"the end of a lease did not come through at {step['name']}",
            "Mend that on the host; the platform tries again.",
        )
    if over:
        return Verdict(
            "warning",
            f"{said}; {len(over)} tasks lost their host",
            "tasks wait for a host that does not answer",
            "They are given on by themselves when the host is given up.",
        )
    return Verdict("ok", said)


def addresses(answer: Answer) -> set[str]:
    """Where the host may come from, by its own report; behind NAT it comes from elsewhere."""
    found = (known_machine(answer) or {}).get("addresses") or []
    return {str(address) for address in found} - {"127.0.0.1", "::1"}


def own_lines(answer: Answer) -> str:
    """Of nginx' log: the host's own requests, or those of all agents where none came from an address of its."""
    calls = list(_calls(answer.output.splitlines()))
    own = [line for line, entry in calls if entry["remote_addr"] in addresses(answer)]
    return "\n".join(own or [line for line, _ in calls]) + "\n"


def requests(answer: Answer) -> Verdict:
    """What nginx saw of it in the last hour."""
    if answer.code != 0:
        return unseen(answer)
    calls = [entry for _, entry in _calls(answer.output.splitlines())]
    own = [entry for entry in calls if entry["remote_addr"] in addresses(answer)]
    if not own:
        return _nothing_came(len(calls), known_machine(answer), sorted(addresses(answer)))
    statuses = [int(entry["status"]) for entry in own]
    last = own[-1]
    said = f"{len(own)} requests from {last['remote_addr']}, the last at {last['time']} was answered {last['status']}"
    if statuses[-1] in REFUSED:
        remedy = "Enrol it again: make a join token in the console, then on the host: remotegpu-agent enroll --force"
        return Verdict("problem", said, "the platform refuses the host's token", remedy)
    if statuses[-1] >= SERVER_ERROR:
        return Verdict(
            "problem",
            said,
            "the platform fails to answer the host",
            "Look there first: remotegpu site diagnose backend",
        )
    return Verdict("ok", said)


def _nothing_came(
    others_: int, one: dict[str, Any] | None, expected: list[str]
) -> Verdict:  # Any: the query's JSON
    """A machine that is reachable comes through NAT then, and one that nobody knows comes from anywhere."""
    said = f"nothing from {', '.join(expected) or 'an unknown address'}; {others_} requests of agents in all"
    if one is None or one["reachable"]:
        return Verdict("ok", said)
    if others_:
        return Verdict(
            "problem", said, "the host's requests do not reach the site, or come through NAT", REACH
        )
    return Verdict("problem", said, "no agent reaches the site", REACH_ANY)


REACH = "Try the way from the host: the curl command below; when that works, the agent is not running there."
REACH_ANY = "Look at the way here (DNS, firewall, port), also from the host: the curl command below."


def _calls(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:  # Any: a line of nginx' log
    for line in lines:
        if line.startswith("{") and PATHS in line:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if str(entry.get("path", "")).startswith(PATHS) and {"remote_addr", "status", "time"} <= set(
                entry
            ):
                yield line, entry
