"""Lock, journal, release, drift, disks, secrets, components: each judged for what it says."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from remotegpu.site.journal import END, Entry, Run, State
from remotegpu.site.releases import Release
from remotegpu.site.status.facts import (
    Certificate,
    Disk,
    Holder,
    ImageInUse,
    RetiredKey,
    RunningComponent,
    SecretAge,
)
from remotegpu.site.status.judging import changes, components, release, room, upkeep

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
RELEASE = Release(
    id="r",
    version="v1.2.0",
    slot="green",
    images={},
    image_ids={},
    config_hash="",
    schema="",
    git_revision="",
    deployed_at=NOON - DAY,
    by="ops",
    why="",
)


def test_a_lock_says_who_why_and_since_when() -> None:
    holder = Holder(who="ops", why="deploy v1.3.0", since=NOON - timedelta(minutes=5), pid=4711)
    item = changes.lock(holder, NOON)
    assert (item.level, item.found) == ("warning", "deploy v1.3.0 by ops for 5 minutes, process 4711")
    assert changes.lock(None, NOON).level == "ok"


def run(what: str, *steps: tuple[str, State, str]) -> Run:
    entries = [
        Entry(at=NOON, run="20261124", what=what, step=step, state=state, detail=detail)
        for step, state, detail in steps
    ]
    return Run(run="20261124", what=what, entries=tuple(entries))


def test_a_change_that_was_cut_short_is_a_problem_unless_somebody_is_at_it() -> None:
    cut = run("deploy", ("plan", "done", ""), ("migrate", "begun", ""))
    item = changes.journal(cut, is_held=False)
    assert item.level == "problem"
    assert "cut short at migrate, which was begun" in item.found
    assert "remotegpu site deploy" in item.remedy
    assert changes.journal(cut, is_held=True).level == "ok"
    restore = run("restore", ("plan", "done", ""))
    assert "remotegpu site restore" in changes.journal(restore, is_held=False).remedy


def test_a_change_that_ended_badly_is_told_once_more() -> None:
    good = changes.journal(run("deploy", (END, "done", "")), is_held=False)
    bad = changes.journal(run("deploy", (END, "failed", "did not become healthy:\n  log")), is_held=False)
    assert (good.level, bad.level) == ("ok", "warning")
    assert bad.found.endswith("failed: did not become healthy")
    assert changes.journal(None, is_held=False).level == "ok"


def test_the_release_that_serves_is_compared_with_the_file() -> None:
    assert release.serving(RELEASE, "v1.2.0").level == "ok"
    other = release.serving(RELEASE, "v1.3.0")
    assert other.level == "warning"
    assert "names v1.3.0" in other.found
    assert release.serving(None, "v1.2.0").level == "problem"


@pytest.mark.parametrize(
    ("percent", "level"),
    [(79.9, "ok"), (80, "warning"), (89.9, "warning"), (90, "problem"), (100, "problem")],
)
def test_disks_fill_up(percent: float, level: str) -> None:
    (item,) = room.judge(
        (Disk(path="/opt/remotegpu", used=int(percent * 10**9), free=int((100 - percent) * 10**9)),)
    )
    assert item.level == level
    assert bool(item.remedy) == (level != "ok")


def age(name: str, days: float, due: int | None = 90) -> SecretAge:
    return SecretAge(
        name=name, changed_at=NOON - days * DAY, due_after=timedelta(days=due) if due is not None else None
    )


def test_secrets_are_due_by_their_age() -> None:
    well = upkeep.secrets(
        (age("jwt_secret", 10), age("db_password_a", 20), age("ssh_ca_key", 900, None)), NOON
    )
    assert (well.level, well.found) == ("ok", "3, the next is due on 2027-02-02: db_password_a")
    soon = upkeep.secrets((age("jwt_secret", 80), age("db_password_a", 20)), NOON)
    assert (soon.level, soon.found) == ("warning", "due for replacement: jwt_secret on 2026-12-04")
    late = upkeep.secrets((age("jwt_secret", 100), age("redis_password", 80)), NOON)
    assert late.found.startswith("overdue for replacement: jwt_secret on 2026-11-14, redis_password")
    gone = upkeep.secrets((replace(age("jwt_secret", 1), changed_at=None),), NOON)
    assert (gone.level, gone.found) == ("problem", "missing: jwt_secret")


def test_a_retired_key_is_spoken_of_until_what_it_opens_has_gone() -> None:
    assert list(upkeep.retired_keys((), NOON)) == []
    kept = RetiredKey(repository="/backups/pgbackrest", until=NOON + 3 * DAY, is_there=True)
    (item,) = upkeep.retired_keys((kept,), NOON)
    assert (item.level, "until 2026-11-27" in item.found) == ("ok", True)
    (late,) = upkeep.retired_keys((replace(kept, until=NOON - 3 * DAY),), NOON)
    assert late.level == "warning"
    assert "/backups/pgbackrest" in late.found
    assert "remotegpu backups prune" in late.remedy
    assert list(upkeep.retired_keys((replace(kept, is_there=False),), NOON)) == []


@pytest.mark.parametrize(("left", "level"), [(31, "ok"), (29, "warning"), (6, "problem"), (-1, "problem")])
def test_the_databases_certificate_ends_for_its_clients_too(left: float, level: str) -> None:
    certificate = Certificate(purpose="the database", ends_at=NOON + left * DAY, renewal="Deploy.")
    (item,) = upkeep.inner_certificates((certificate,), NOON)
    assert (item.level, item.remedy) == (level, "" if level == "ok" else "Deploy.")


def test_pending_migrations_are_named() -> None:
    assert upkeep.migrations(()).level == "ok"
    item = upkeep.migrations(("0004_post_drop",))
    assert (item.level, item.found) == ("warning", "pending: 0004_post_drop")


NGINX = RunningComponent(
    name="nginx", runs="nginx:1.30.4", manifest="nginx:1.30.4", supported_until=date(2027, 4, 1)
)


@pytest.mark.parametrize(
    ("today", "level"),
    [
        (date(2027, 1, 30), "ok"),
        (date(2027, 1, 31), "warning"),
        (date(2027, 4, 1), "problem"),
    ],
)
def test_the_end_of_support_is_announced_sixty_days_before(today: date, level: str) -> None:
    (item,) = components.judge((NGINX,), today)
    assert item.level == level


@pytest.mark.parametrize(
    ("runs", "level"),
    [
        ("nginx:1.30.4@sha256:" + "a" * 64, "ok"),
        ("mirror.example.com:5000/library/nginx:1.30.4", "ok"),
        ("nginx:1.26.3", "warning"),
        ("mirror.example.com:5000/nginx@sha256:" + "a" * 64, "warning"),
    ],
)
def test_a_mirror_or_a_digest_of_the_same_version_is_the_same(runs: str, level: str) -> None:
    (item,) = components.judge((replace(NGINX, runs=runs),), date(2026, 11, 24))
    assert item.level == level


def test_stand_ins_show() -> None:
    real = ImageInUse(reference="redis:8.4.6", stand_in="")
    fake = ImageInUse(reference="nginx:1.30.4", stand_in="nginx 1.26.3 of Debian")
    assert components.stand_ins((real,)).level == "ok"
    item = components.stand_ins((real, fake))
    assert (item.level, item.found) == (
        "warning",
        "stand-ins for tests: nginx:1.30.4 (nginx 1.26.3 of Debian)",
    )
