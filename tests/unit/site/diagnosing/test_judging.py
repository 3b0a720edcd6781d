"""What each step of the handbooks makes of an answer: well, not well, and not to be seen."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from remotegpu.site.diagnosing import database_judging, judging
from remotegpu.site.diagnosing.steps import Answer, Judge, Verdict
from remotegpu.site.diagnosing.symptoms import DATABASE, PROGRAM

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def answer(output: str, code: int = 0, earlier: Mapping[str, str] | None = None) -> Answer:
    return Answer(code, output, earlier or {})


def says(value: object) -> Answer:
    return answer(json.dumps(value) + "\n")


def is_explained(verdict: Verdict) -> bool:
    return bool(verdict.cause and verdict.next_step)


def df(percent: int) -> Answer:
    head = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n"
    return answer(head + f"/dev/sda1 1000 {percent * 10} 0 {percent}% /\n/dev/sdb1 1000 100 900 10% /opt\n")


@pytest.mark.parametrize(
    ("percent", "level"), [(79, "ok"), (80, "warning"), (90, "problem"), (100, "problem")]
)
def test_the_fullest_disk_counts(percent: int, level: str) -> None:
    verdict = judging.disk(df(percent))
    assert verdict.level == level
    assert verdict.found == f"/ is {percent} % full"
    assert is_explained(verdict) == (level != "ok")
    assert judging.disk(answer("df: /opt: No such file or directory", 1)).level == "unknown"


@pytest.mark.parametrize(
    ("available", "level"), [(1_600_000, "ok"), (1_500_000, "warning"), (400_000, "problem")]
)
def test_memory_is_judged_by_what_is_available(available: int, level: str) -> None:
    said = f"MemTotal:       16000000 kB\nMemFree:          10 kB\nMemAvailable:   {available} kB\n"
    assert judging.memory(answer(said)).level == level
    assert judging.memory(answer("cat: /proc/meminfo: Permission denied", 1)).level == "unknown"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1, "PostgreSQL is starting, stopping, or recovering after a crash"),
        (2, "PostgreSQL does not answer"),
        (3, "PostgreSQL could not be asked"),
    ],
)
def test_pg_isready_says_by_its_status_what_is_wrong(code: int, cause: str) -> None:
    verdict = judging.database_answers(answer("said", code))
    assert (verdict.level, verdict.cause) == ("problem", cause)
    assert judging.database_answers(answer("accepting connections")).level == "ok"
    stopped = judging.database_answers(answer('service "postgresql" is not running', 1))
    assert stopped.cause == "PostgreSQL's container does not run"
    assert "restart postgresql" in stopped.next_step


def test_redis_is_well_only_with_a_pong() -> None:
    assert judging.redis_answers(answer("PONG\n")).level == "ok"
    refused = judging.redis_answers(
        answer("NOAUTH Authentication required.\n")
    )  # exit status 0, as without -e
    assert (refused.level, refused.cause) == ("problem", "Redis refuses the application's password")
    loading = judging.redis_answers(answer("LOADING Redis is loading the dataset in memory", 1))
    assert "loads" in loading.cause
    stopped = judging.redis_answers(answer('service "redis" is not running', 1))
    assert stopped.cause == "Redis does not answer"
    assert "restart redis" in stopped.next_step


def test_readiness_names_the_part_that_is_missing() -> None:
    ready = {"ready": True, "checks": {"database": "ok", "redis": "ok"}}
    assert judging.backend_ready(says(ready)).level == "ok"
    not_ready = {"ready": False, "checks": {"database": "ok", "redis": "Connection refused"}}
    verdict = judging.backend_ready(says(not_ready))
    assert (verdict.found, verdict.cause) == ("redis: Connection refused", "the backend cannot use redis")
    assert (
        judging.backend_ready(answer("curl: (7) Failed to connect", 7)).cause
        == "the backend does not answer nginx"
    )


@pytest.mark.parametrize(
    ("line", "symptoms", "cause"),
    [
        ("OSError: [Errno 28] No space left on device", PROGRAM, "a disk is full"),
        ('FATAL:  password authentication failed for user "remotegpu_app_a"', PROGRAM, "PostgreSQL refuses"),
        ('asyncpg.UndefinedColumn: column "x" does not exist', PROGRAM, "different releases"),
        ("ERROR:  could not read block 7 in file", DATABASE, "pages of the database are damaged"),
        ("PANIC:  could not locate a valid checkpoint record", DATABASE, "PostgreSQL gave up"),
    ],
)
def test_known_words_in_a_log_are_a_cause(line: str, symptoms: tuple, cause: str) -> None:
    verdict = judging.log("it", symptoms)(answer(f"started\n{line}\nstopped\n"))
    assert verdict.level == "problem"
    assert cause in verdict.cause
    assert line in verdict.found


def test_errors_that_nobody_knows_are_a_warning_and_harmless_lines_are_none() -> None:
    judge = judging.log("worker", PROGRAM)
    assert judge(answer('{"level":"info","msg":"no error at all"}\nINFO ready\n')).level == "ok"
    assert judge(answer("")).found == "it wrote nothing"
    restart = "2026-11-24 22:17:43 CST [14] app@remotegpu FATAL:  the database system is starting up"
    assert judge(answer(restart)).level == "ok"
    odd = judge(answer('{"level":"info","msg":"x"}\n{"level":"error","msg":"something new"}\n'))
    assert odd.level == "warning"
    assert "something new" in odd.found
    assert judge(answer("no such service: worker", 1)).level == "unknown"


def container(service: str, **state: object) -> str:
    said = {
        "Status": "running",
        "ExitCode": 0,
        "OOMKilled": False,
        "StartedAt": "2026-11-23T12:00:00Z",
    } | state
    return json.dumps(
        {
            "Name": f"/remotegpu-acme-{service}-1",
            "Image": "sha256:ab",
            "RestartCount": 0,
            "Config": {"Labels": {"com.docker.compose.service": service}},
            "State": said,
        }
    )


def test_the_worst_container_is_the_cause() -> None:
    judge: Judge = judging.containers(("redis", "worker"), None, NOON)
    assert judge(answer(f"{container('redis')}\n{container('worker')}\n")).level == "ok"
    down = judge(answer(f"{container('redis')}\n{container('worker', Status='exited', ExitCode=3)}\n"))
    assert (down.level, down.cause) == ("problem", "worker: exited, exit status 3")
    assert "docker compose --file docker-compose.prod.yml restart worker" in down.next_step
    gone = judge(answer(f"{container('redis')}\nError: No such container: remotegpu-acme-worker-1\n", 1))
    assert gone.cause == "worker: there is none"
    assert judge(answer("Cannot connect to the Docker daemon", 1)).level == "unknown"


def test_requests_that_failed_are_counted_with_what_nginx_could_not_reach() -> None:
    lines = [json.dumps({"status": status, "path": "/"}) for status in (200, 404, 502, 503)]
    refused = (
        "2026/11/24 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream"
    )
    verdict = judging.requests(answer("\n".join([*lines, refused])))
    assert verdict.level == "warning"
    assert verdict.found.startswith("2 of 4 requests failed, 1 times nothing answered nginx; ")
    assert judging.requests(answer("\n".join(lines[:2]))).level == "ok"


def test_a_change_within_the_hour_is_a_suspect() -> None:
    def entry(ago: timedelta) -> str:
        at = (NOON - ago).isoformat()
        return json.dumps({"at": at, "run": "r", "what": "deploy", "step": "end", "state": "done"})

    judge = judging.last_change(NOON)
    recent = judge(answer(f"cut off\n{entry(timedelta(minutes=20))}\n"))
    assert (recent.level, "rollback" in recent.next_step) == ("warning", True)
    assert judge(answer(entry(timedelta(hours=2)))).level == "ok"
    assert judge(answer("tail: cannot open", 1)).level == "ok"


CONNECTIONS = {"used": 20, "max": 200, "idle_in_transaction": 0, "longest_transaction_s": 1}


@pytest.mark.parametrize(
    ("parts", "level"),
    [
        ({}, "ok"),
        ({"used": 119}, "ok"),
        ({"used": 120}, "warning"),
        ({"used": 180}, "problem"),
        ({"longest_transaction_s": 601}, "warning"),
    ],
)
def test_connections_run_short_before_they_run_out(parts: dict[str, int], level: str) -> None:
    verdict = database_judging.connections(says(CONNECTIONS | parts))
    assert verdict.level == level
    assert is_explained(verdict) == (level != "ok")


def test_who_waits_long_for_a_lock_is_told_of_with_who_holds_it() -> None:
    waiting = {"pid": 41, "user": "a", "program": "p", "waits_for": [7, 8], "seconds": 95}
    verdict = database_judging.blocked(says([waiting]))
    assert (verdict.level, verdict.cause) == ("problem", "sessions wait for locks that 7, 8 holds")
    assert "pg_terminate_backend(7)" in verdict.next_step
    assert database_judging.blocked(says([waiting | {"seconds": 2}])).level == "ok"
    assert database_judging.blocked(says([])).level == "ok"


SOUND = {
    "checksums": "on",
    "failures": 0,
    "last_failure": None,
    "oldest_transactions": 200_000_000,
    "in_recovery": False,
}


@pytest.mark.parametrize(
    ("parts", "cause"),
    [
        ({"failures": 3}, "pages of the database are damaged"),
        ({"oldest_transactions": 1_600_000_000}, "PostgreSQL is about to refuse writes"),
        ({"in_recovery": True}, "PostgreSQL replays WAL"),
    ],
)
def test_damage_is_a_problem(parts: dict[str, object], cause: str) -> None:
    assert database_judging.damage(says(SOUND | parts)).cause.startswith(cause)
    assert database_judging.damage(says(SOUND)).level == "ok"


def test_an_archive_that_fails_now_is_a_problem_and_one_that_failed_once_is_none() -> None:
    well = {"archived": 9, "failed": 4, "failing": False, "waiting": 0, "wal_bytes": 80 * 1024**2}
    assert database_judging.archive(says(well)).level == "ok"
    assert database_judging.archive(says(well | {"failing": True})).level == "problem"
    assert database_judging.archive(says(well | {"wal_bytes": 5 * 1024**3})).level == "warning"


def test_work_that_is_not_archived_is_handed_over_by_hand() -> None:
    status = {
        "at": NOON.isoformat(),
        "lsn": "0/1",
        "archive_mode": "on",
        "archive_timeout": "1min",
        "archived": 1,
        "last_archived_wal": "a",
        "last_archived_at": None,
        "failed": 0,
        "last_failed_wal": "",
        "last_failed_at": None,
        "last_commit_at": None,
        "waiting": 0,
        "failing": False,
        "exact": True,
        "lag_s": 12.0,
    }
    assert database_judging.handed_over(says(status)).level == "ok"
    late = database_judging.handed_over(says(status | {"lag_s": 900.0}))
    assert late.level == "problem"
    assert "pg_switch_wal" in late.next_step
    assert database_judging.handed_over(answer("not running", 1)).level == "unknown"


def test_the_newest_dump_is_the_way_back() -> None:
    def dump(name: str, kind: str, hours: int) -> dict[str, str]:
        return {"id": name, "kind": kind, "finished_at": (NOON - timedelta(hours=hours)).isoformat()}

    listed = {
        "ok": True,
        "backups": [dump("a", "database", 30), dump("b", "database", 6), dump("c", "redis", 1)],
    }
    verdict = database_judging.way_back(NOON)(answer("warning\n" + json.dumps(listed, indent=2)))
    assert (verdict.level, verdict.found) == ("ok", "2 dumps, the newest b, 6 hours ago")
    assert database_judging.way_back(NOON)(says({"backups": []})).level == "warning"
    assert database_judging.way_back(NOON)(answer("not running", 1)).level == "unknown"


@pytest.mark.parametrize(
    "judge",
    [
        database_judging.connections,
        database_judging.blocked,
        database_judging.damage,
        database_judging.archive,
        judging.schema(None),
    ],
)
def test_a_database_that_does_not_answer_is_unknown_to_every_later_step(judge: Judge) -> None:
    verdict = judge(answer("psql: error: connection to server failed", 2))
    assert verdict.level == "unknown"
    assert "connection to server failed" in verdict.found
