"""A rotation: the new value is accepted before it is used, the old one while anybody may still use it."""

import itertools
from datetime import UTC, datetime, timedelta

import msgspec

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
    "backup_cipher_key": ["old-cipher"],
}


def means(now: datetime = NOW) -> Means:
    numbers = itertools.count(1)
    return Means(
        new=lambda: f"new-{next(numbers)}",
        now=now,
        token_lifetime=timedelta(minutes=20),
        backup_window=timedelta(days=7),
    )


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
        if name not in {"jwt_secret", "backup_cipher_key"}:
            assert old[0] not in after[name], name


def test_a_phase_that_is_done_again_after_a_crash_ends_in_the_same_state() -> None:
    once, again = played(twice=False), played(twice=True)
    for phase in PHASES:
        assert again[phase]["db_user"] == once[phase]["db_user"]
        for name in ("jwt_secret", "redis_password", "redis_backup_password", "backup_cipher_key"):
            assert len(again[phase][name]) == len(once[phase][name]), (phase, name)
            assert ("old" in again[phase][name][0]) == ("old" in once[phase][name][0]), (phase, name)


def test_keys_whose_time_is_over_go_with_the_next_rotation() -> None:
    lines = START | {"jwt_secret": ["current", "ended until=2026-02-28T00:00:00+00:00"]}
    after = rotation.after("announce", ["jwt"], lines, rotation.before(lines), means())
    assert after["jwt_secret"] == ["current", "new-1"]
    still = START | {"jwt_secret": ["current", "ending until=2026-03-01T00:01:00+00:00"]}
    after = rotation.after("announce", ["jwt"], still, rotation.before(still), means())
    assert after["jwt_secret"] == ["current", "new-1", "ending until=2026-03-01T00:01:00+00:00"]


def test_a_new_encryption_key_is_known_before_it_encrypts_and_the_old_one_is_kept_for_the_window() -> None:
    after = played(twice=True)
    old, new = after["announce"]["backup_cipher_key"]
    assert old == "old-cipher"
    assert new.startswith("new-")
    assert after["use"]["backup_cipher_key"] == [new, "old-cipher until=2026-03-08T00:00:00+00:00"]
    assert after["retire"]["backup_cipher_key"] == after["use"]["backup_cipher_key"]


def test_keys_retired_before_stay_when_the_encryption_key_is_replaced_again() -> None:
    before = "second repository=0123456789ab"
    lines = START | {"backup_cipher_key": [before, "first until=2026-03-02T00:00:00+00:00"]}
    was = rotation.before(lines)
    for phase in PHASES:
        lines |= rotation.after(phase, ["encryption-key"], lines, was, means())
    (new, second, first) = lines["backup_cipher_key"]
    assert new.startswith("new-1 repository=")
    assert second == f"{before} until=2026-03-08T00:00:00+00:00"
    assert first == "first until=2026-03-02T00:00:00+00:00"


def test_a_journal_from_before_the_encryption_key_was_rotated_can_be_read() -> None:
    written = b'{"role": "remotegpu_app_a", "passwords": {}}'
    assert not msgspec.json.decode(written, type=rotation.Before).backup_key
