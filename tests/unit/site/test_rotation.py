"""A rotation: the new value is accepted before it is used, the old one while anybody may still use it."""

import itertools
from datetime import UTC, datetime, timedelta

from remotegpu.site import rotation
from remotegpu.site.rotation import PHASES, TOPICS, Means, Phase

NOW = datetime(2026, 3, 1, tzinfo=UTC)
START = {
    "jwt_secret": ["old-key"],
    "db_user": ["remotegpu_app_a"],
    "db_password_a": ["a"],
    "db_password_b": ["b"],
    "db_owner_password": ["o"],
    "db_superuser_password": ["s"],
    "redis_password": ["old-redis"],
    "redis_backup_password": ["old-backup"],
    "redis_operator_password": ["old-operator"],
}


def means(now: datetime = NOW) -> Means:
    numbers = itertools.count(1)
    return Means(new=lambda: f"new-{next(numbers)}", now=now, token_lifetime=timedelta(minutes=20))


def played(*, twice: bool) -> dict[Phase, dict[str, list[str]]]:
    """The secrets after each phase; ``twice``: each phase is done again, as after a crash."""
    lines, was, seen = dict(START), rotation.before(START), {}
    for phase in PHASES:
        for _ in range(1 + twice):
            lines |= rotation.after(phase, TOPICS, lines, was, means())
        seen[phase] = dict(lines)
    return seen


def test_the_new_values_are_accepted_before_they_are_used() -> None:
    after = played(twice=False)["announce"]
    assert after["jwt_secret"][0] == "old-key"
    assert len(after["jwt_secret"]) == 2
    assert after["redis_password"][0] == "old-redis"
    assert len(after["redis_password"]) == 2
    assert after["db_user"] == ["remotegpu_app_a"]
    assert after["db_password_a"] == ["a"]
    assert after["db_password_b"] != ["b"]


def test_the_old_values_are_accepted_while_somebody_may_use_them() -> None:
    after = played(twice=False)["use"]
    assert after["jwt_secret"][0] != "old-key"
    assert after["jwt_secret"][1] == "old-key until=2026-03-01T00:20:00+00:00"
    assert after["redis_password"][1] == "old-redis"
    assert after["db_user"] == ["remotegpu_app_b"]
    assert after["db_password_a"] == ["a"]


def test_in_the_end_the_old_values_are_refused() -> None:
    after = played(twice=False)["retire"]
    for name, old in START.items():
        assert after[name] != old, name
        if name != "jwt_secret":
            assert old[0] not in after[name], name


def test_a_phase_that_is_done_again_after_a_crash_ends_in_the_same_state() -> None:
    once, again = played(twice=False), played(twice=True)
    for phase in PHASES:
        assert again[phase]["db_user"] == once[phase]["db_user"]
        for name in ("jwt_secret", "redis_password", "redis_backup_password"):
            assert len(again[phase][name]) == len(once[phase][name]), (phase, name)
            assert ("old" in again[phase][name][0]) == ("old" in once[phase][name][0]), (phase, name)


def test_keys_whose_time_is_over_go_with_the_next_rotation() -> None:
    lines = START | {"jwt_secret": ["current", "ended until=2026-02-28T00:00:00+00:00"]}
    after = rotation.after("announce", ["jwt"], lines, rotation.before(lines), means())
    assert after["jwt_secret"] == ["current", "new-1"]
    still = START | {"jwt_secret": ["current", "ending until=2026-03-01T00:01:00+00:00"]}
    after = rotation.after("announce", ["jwt"], still, rotation.before(still), means())
    assert after["jwt_secret"] == ["current", "new-1", "ending until=2026-03-01T00:01:00+00:00"]
