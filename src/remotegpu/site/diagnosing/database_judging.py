"""What PostgreSQL's own figures mean. Pure."""

import json
from datetime import datetime
from typing import Any

from remotegpu.site.diagnosing import psql
from remotegpu.site.diagnosing.judging import tail, unseen
from remotegpu.site.diagnosing.steps import Answer, Judge, Verdict
from remotegpu.site.status.gathering.backups import read_archive
from remotegpu.site.status.judging import backups as judging_backups
from remotegpu.site.status.judging.wording import ago, compose

BUSY, FULL = 0.6, 0.9
"""Shares of max_connections. 0.6: section 7.6 of the deployment plan."""
LONG_TRANSACTION_S = 600
BLOCKED_S = 30
MUCH_WAL = 4 * 1024**3
OLD_TRANSACTIONS = 1_500_000_000
"""PostgreSQL stops at 2 147 483 647; autovacuum acts from 200 000 000 on."""


def connections(answer: Answer) -> Verdict:
    found = psql.value(answer)
    if not isinstance(found, dict):
        return unseen(answer)
    used, most, longest = found["used"], found["max"], found["longest_transaction_s"]
    said = f"{used} of {most} connections, longest transaction {longest} s"
    if used >= FULL * most:
        remedy = "See who holds them in the bundle; restart the program that does not give them back."
        return Verdict("problem", said, "PostgreSQL has no connection left", remedy)
    if longest > LONG_TRANSACTION_S:
        remedy = (
            "Find it: SELECT pid, application_name, xact_start FROM pg_stat_activity ORDER BY xact_start;"
        )
        return Verdict(
            "warning", said, "a transaction has been open for very long and holds its locks", remedy
        )
    if used >= BUSY * most:
        return Verdict("warning", said, "connections run short", "See who holds them in the bundle.")
    return Verdict("ok", said)


def blocked(answer: Answer) -> Verdict:
    found = psql.value(answer)
    if not isinstance(found, list):
        return unseen(answer)
    waiting: list[dict[str, Any]] = [
        one for one in found if one["seconds"] >= BLOCKED_S
    ]  # Any: the query's JSON
    if not waiting:
        return Verdict("ok", f"{len(found)} sessions wait, none for long")
    first = waiting[0]
    holders = ", ".join(map(str, first["waits_for"]))
    return Verdict(
        "problem",
        f"{len(waiting)} sessions wait for locks, session {first['pid']} for {first['seconds']} s",
        f"sessions wait for locks that {holders} holds",
        f"See what it does; to end it: SELECT pg_terminate_backend({holders.split(', ')[0]});",
    )


def damage(answer: Answer) -> Verdict:
    found = psql.value(answer)
    if not isinstance(found, dict):
        return unseen(answer)
    if found["failures"]:
        return Verdict(
            "problem",
            f"{found['failures']} pages failed their checksum, last at {found['last_failure']}",
            "pages of the database are damaged",
            "Stop writing, keep the volume as it is, and restore: remotegpu site restore",
        )
    if found["oldest_transactions"] > OLD_TRANSACTIONS:
        return Verdict(
            "problem",
            f"the oldest transaction is {found['oldest_transactions']} transactions back",
            "PostgreSQL is about to refuse writes, because old transactions were not frozen",
            "Run VACUUM in the database that pg_database shows as oldest.",
        )
    if found["in_recovery"]:
        return Verdict(
            "problem",
            "it is in recovery",
            "PostgreSQL replays WAL and takes no writes",
            "Wait; read its log.",
        )
    return Verdict("ok", f"checksums {found['checksums']}, none failed")


def archive(answer: Answer) -> Verdict:
    found = psql.value(answer)
    if not isinstance(found, dict):
        return unseen(answer)
    size = found["wal_bytes"] / 1024**2
    said = f"{found['archived']} archived, {found['failed']} failed, {found['waiting']} waiting, {size:.0f} MiB of WAL"
    if found["failing"]:
        remedy = "Read what archive-push says in PostgreSQL's log; see backups/pgbackrest: its room, its owner (999)."
        return Verdict("problem", said, "WAL is not archived, so it piles up until the disk is full", remedy)
    if found["wal_bytes"] > MUCH_WAL:
        return Verdict("warning", said, "WAL piles up", "See pg_replication_slots and the archive.")
    return Verdict("ok", said)


def handed_over(answer: Answer) -> Verdict:
    """From ``remotegpu backups wal-status --json``: what would be lost if the disk died now."""
    item = judging_backups.archive(read_archive(answer.output))
    cause = (
        ""
        if item.level in {"ok", "unknown"}
        else "work is not in the archive, and would be lost with the disk"
    )
    return Verdict(item.level, item.found, cause, SWITCH if cause else "")


SWITCH = (
    "After a restart PostgreSQL may wait for checkpoint_timeout before it hands WAL over by itself; do it: "
    + compose("exec postgresql psql --username postgres --command 'SELECT pg_switch_wal()'")
)


def way_back(now: datetime) -> Judge:
    """From ``remotegpu backups list --json``: what there is to restore, should it come to that."""

    def judge(answer: Answer) -> Verdict:
        start = answer.output.find("{")
        try:
            found = json.loads(answer.output[max(start, 0) :])["backups"]
        except (ValueError, KeyError, TypeError):
            return Verdict("unknown", tail(answer.output))
        dumps = [one for one in found if one["kind"] == "database"]
        if not dumps:
            return Verdict(
                "warning",
                "none",
                "there is no backup of the database",
                "Make one: remotegpu site backup --kind database",
            )
        newest = dumps[-1]
        finished = datetime.fromisoformat(newest["finished_at"])
        return Verdict("ok", f"{len(dumps)} dumps, the newest {newest['id']}, {ago(finished, now)}")

    return judge
