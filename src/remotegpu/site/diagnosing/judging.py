"""What the answers of the site's parts mean. Pure: each takes an answer and gives a verdict."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from remotegpu.site.diagnosing import symptoms
from remotegpu.site.diagnosing.steps import Answer, Judge, Verdict
from remotegpu.site.diagnosing.symptoms import Symptom
from remotegpu.site.journal import Entry
from remotegpu.site.releases import Release
from remotegpu.site.status.gathering.engine import container_of, json_lines
from remotegpu.site.status.items import WORST_FIRST
from remotegpu.site.status.judging import containers as states
from remotegpu.site.status.judging import room
from remotegpu.site.status.judging.wording import compose, end_of

LITTLE_MEMORY, NO_MEMORY = 0.10, 0.03
"""Shares of all memory that are available: below the first it gets slow, below the second programs are killed."""
LATELY = timedelta(hours=1)
SERVER_ERROR = 500


def tail(text: str, characters: int = 300) -> str:
    """The end of what was said, on one line."""
    return end_of(text, characters) or "no answer"


def as_symptom(judge: Judge) -> Judge:
    """For a handbook in which another step knows why."""
    return lambda answer: replace(judge(answer), is_symptom=True)


def noted(answer: Answer) -> Verdict:
    """Evidence only."""
    return (
        Verdict("ok", f"{len(answer.output.splitlines())} lines kept") if answer.code == 0 else unseen(answer)
    )


def unseen(answer: Answer) -> Verdict:
    return Verdict("unknown", tail(answer.output))


def engine(answer: Answer) -> Verdict:
    if answer.code == 0:
        return Verdict("ok", tail(answer.output))
    return Verdict(
        "problem",
        tail(answer.output),
        "Docker does not answer, so nothing of the site runs or nobody can see it",
        "Start it (systemctl start docker) and read journalctl -u docker -n 100; as another user than root: sudo.",
    )


def disk(answer: Answer) -> Verdict:
    """From ``df -P -k``: the fullest of the file systems."""
    rows = [line.split() for line in answer.output.splitlines() if "%" in line and "Capacity" not in line]
    used = [
        (int(row[4].rstrip("%")), row[5]) for row in rows if len(row) > 5 and row[4].rstrip("%").isdecimal()
    ]
    if not used:
        return unseen(answer)
    percent, place = max(used)
    level = room.level_of(percent)
    said = f"{place} is {percent} % full"
    if level == "ok":
        return Verdict("ok", said)
    remedy = (
        "See what takes it: docker system df; du -xh --max-depth 2. Make room before anything is restarted."
    )
    return Verdict(level, said, f"the disk of {place} is {'' if percent >= 100 else 'almost '}full", remedy)


def memory(answer: Answer) -> Verdict:
    """From ``/proc/meminfo``, in kB."""
    values = {
        parts[0].rstrip(":"): int(parts[1])
        for line in answer.output.splitlines()
        if len(parts := line.split()) > 1 and parts[1].isdecimal()
    }
    if "MemAvailable" not in values or not values.get("MemTotal"):
        return unseen(answer)
    share = values["MemAvailable"] / values["MemTotal"]
    said = f"{values['MemAvailable'] / 1024**2:.1f} GiB of {values['MemTotal'] / 1024**2:.1f} GiB available"
    if share >= LITTLE_MEMORY:
        return Verdict("ok", said)
    remedy = "See who takes it: docker stats --no-stream; ps aux --sort -rss. Stop what does not belong to the site."
    return Verdict(
        "problem" if share < NO_MEMORY else "warning", said, "this node has no memory left", remedy
    )


def containers(services: Sequence[str], release: Release | None, now: datetime) -> Judge:
    """From ``docker container inspect``."""

    def judge(answer: Answer) -> Verdict:
        found = tuple(container_of(entry) for entry in json_lines(answer.output))
        if answer.code != 0 and not found and "No such container" not in answer.output:
            return unseen(answer)
        items = sorted(
            states.judge(tuple(services), found, release, now), key=lambda item: WORST_FIRST.index(item.level)
        )
        worst = items[0]
        said = "; ".join(f"{item.name.removeprefix('container ')}: {item.found}" for item in items)
        if worst.level == "ok":
            return Verdict("ok", said)
        service = worst.name.removeprefix("container ")
        return Verdict(
            worst.level, said, f"{service}: {worst.found}", _mended(service, worst.remedy), is_symptom=True
        )

    return judge


def _mended(service: str, remedy: str) -> str:
    """Whoever is here was sent by the status, and is not sent back."""
    if "diagnose" not in remedy:
        return remedy
    return f"Read its log in the bundle; then: {compose(f'restart {service}')}"


def log(service: str, known: Sequence[Symptom]) -> Judge:
    """Symptoms that are known are a problem; errors that nobody knows are a warning."""

    def judge(answer: Answer) -> Verdict:
        if answer.code != 0:
            return unseen(answer)
        lines = answer.output.splitlines()
        errors = symptoms.errors(lines)
        match = symptoms.first(lines, known)
        if match:
            symptom, line = match
            return Verdict("problem", f"{len(errors)} errors; {line}", symptom.cause, symptom.next_step)
        if errors:
            said = f"{len(errors)} errors in {len(lines)} lines, the last: {tail(errors[-1], 200)}"
            return Verdict(
                "warning", said, f"{service} reports errors that this handbook does not know", READ
            )
        return Verdict("ok", f"no error in {len(lines)} lines" if lines else "it wrote nothing")

    return judge


READ = "Read the log in the bundle from its end upwards."


def database_answers(answer: Answer) -> Verdict:
    """From ``pg_isready``: 0 accepts, 1 refuses (it starts or stops), 2 gives no answer."""
    if answer.code == 0:
        return Verdict("ok", "it accepts connections")
    said = tail(answer.output)
    if "is not running" in said:
        return Verdict(
            "problem", said, "PostgreSQL's container does not run", _started_or_read("postgresql", said)
        )
    cause = {
        1: "PostgreSQL is starting, stopping, or recovering after a crash",
        2: "PostgreSQL does not answer",
    }.get(answer.code, "PostgreSQL could not be asked")
    remedy = "Wait a minute and look again; then: remotegpu site diagnose database"
    return Verdict("problem", said, cause, remedy)


def redis_answers(answer: Answer) -> Verdict:
    said = tail(answer.output)
    if answer.code == 0 and "PONG" in answer.output:
        return Verdict("ok", "PONG")
    match = symptoms.first([said], symptoms.PROGRAM)
    if match:
        return Verdict("problem", said, match[0].cause, match[0].next_step)
    if "LOADING" in answer.output:
        return Verdict(
            "problem", said, "Redis still loads its data", "Wait until it has: the log of redis says when."
        )
    return Verdict("problem", said, "Redis does not answer", _started_or_read("redis", said))


def objects_answer(answer: Answer) -> Verdict:
    if answer.code == 0:
        return Verdict("ok", tail(answer.output, 100))
    said = tail(answer.output)
    return Verdict("problem", said, "the object store does not answer", _started_or_read("rustfs", said))


def _started_or_read(service: str, said: str) -> str:
    if "is not running" in said:
        return f"Start it: {compose(f'restart {service}')}. When it stops again, read its log."
    return f"Read its log: {compose(f'logs --tail 100 {service}')}"


def backend_ready(answer: Answer) -> Verdict:
    """From ``/health/ready``: every part that the backend needs, by name."""
    found = next((line for line in answer.output.splitlines() if line.startswith("{")), "")
    try:
        checks: dict[str, str] = json.loads(found)["checks"]
    except (ValueError, KeyError, TypeError):
        remedy = "Read its log in the bundle; when it does not come back: remotegpu site rollback"
        return Verdict(
            "problem", tail(answer.output), "the backend does not answer nginx", remedy, is_symptom=True
        )
    bad = {name: said for name, said in checks.items() if said != "ok"}
    if not bad:
        return Verdict("ok", "ready: " + ", ".join(checks))
    said = "; ".join(f"{name}: {reason}" for name, reason in bad.items())
    return Verdict(
        "problem",
        said,
        f"the backend cannot use {', '.join(bad)}",
        "Mend that first; it comes back by itself.",
    )


def schema(release: Release | None) -> Judge:
    def judge(answer: Answer) -> Verdict:
        found = next((line for line in answer.output.splitlines() if line.startswith("{")), "")
        if answer.code != 0 or not found:
            return unseen(answer)
        revision = str(json.loads(found)["revision"])
        if release is None or revision == release.schema:
            return Verdict("ok", revision)
        said = f"{revision}; {release.version} recorded {release.schema}"
        remedy = "Finish the deployment that brought it, or deploy again: remotegpu site deploy"
        return Verdict(
            "warning", said, "the schema is not what the release that serves was brought with", remedy
        )

    return judge


def requests(answer: Answer) -> Verdict:
    """From nginx' log: answers of 500 and above, and upstreams that it could not reach."""
    if answer.code != 0:
        return unseen(answer)
    statuses: list[int] = []
    unreached: list[str] = []
    for line in answer.output.splitlines():
        if line.startswith("{"):
            try:
                statuses.append(int(json.loads(line)["status"]))
            except (ValueError, KeyError, TypeError):
                continue
        elif "upstream" in line and ("connect() failed" in line or "timed out" in line or "no live" in line):
            unreached.append(line)
    failed = sum(status >= SERVER_ERROR for status in statuses)
    said = f"{failed} of {len(statuses)} requests failed, {len(unreached)} times nothing answered nginx"
    if not failed and not unreached:
        return Verdict("ok", said)
    last = f"; {tail(unreached[-1], 200)}" if unreached else ""
    return Verdict(
        "warning", said + last, "requests failed lately", "Compare their times with the logs in the bundle."
    )


def last_change(now: datetime) -> Judge:
    """From the end of the site's journal: what changed shortly before a fault is its first suspect."""

    def judge(answer: Answer) -> Verdict:
        entries: list[Entry] = []
        for line in answer.output.splitlines():
            try:
                entries.append(msgspec.json.decode(line, type=Entry))
            except msgspec.MsgspecError:
                continue
        if not entries:
            return Verdict("ok", "nothing on record")
        last = entries[-1]
        said = f"{last.what} {last.run}: {last.step} {last.state} at {last.at:%Y-%m-%d %H:%M} UTC"
        if now - last.at > LATELY:
            return Verdict("ok", said)
        remedy = "When the fault began with it: remotegpu site rollback"
        return Verdict("warning", said, f"the site was changed within the last hour ({last.what})", remedy)

    return judge
