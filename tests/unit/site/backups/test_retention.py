"""What was kept long enough goes; the newest good one of each kind never does."""

from hypothesis import given
from hypothesis import strategies as st

from remotegpu.site.backups.manifests import KINDS, Manifest
from remotegpu.site.backups.retention import expired
from unit.site.backups.manifest_examples import NOW, manifest


def ids(found: list[Manifest]) -> list[str]:
    return [each.id for each in found]


def test_dumps_stay_for_a_month_and_copies_of_redis_for_a_week() -> None:
    backups = [manifest(kind, days) for kind in ("database", "redis") for days in (40, 29, 8, 1)]
    assert ids(expired(backups, now=NOW, keep_days=30)) == [
        manifest("database", 40).id,
        manifest("redis", 40).id,
        manifest("redis", 29).id,
        manifest("redis", 8).id,
    ]


def test_the_newest_of_a_kind_stays_however_old() -> None:
    backups = [manifest("database", 400), manifest("database", 300), manifest("redis", 200)]
    assert ids(expired(backups, now=NOW, keep_days=30)) == [manifest("database", 400).id]


def test_the_newest_good_one_stays_when_newer_ones_are_damaged() -> None:
    backups = [manifest("database", days) for days in (90, 60, 50, 45)]
    damaged = {manifest("database", 50).id, manifest("database", 45).id}
    gone = ids(expired(backups, now=NOW, keep_days=30, damaged=damaged))
    assert manifest("database", 60).id not in gone
    assert manifest("database", 90).id in gone


def test_records_of_base_backups_go_when_pgbackrest_has_them_no_longer() -> None:
    backups = [manifest("base", days, label=f"label-{days}") for days in (20, 10, 1)]
    assert ids(expired(backups, now=NOW, keep_days=1, base_labels={"label-10", "label-1"})) == [backups[0].id]
    assert expired(backups, now=NOW, keep_days=1, base_labels=None) == []


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 400), st.booleans()), max_size=30),
    st.integers(1, 60),
)
def test_every_kind_that_had_a_good_backup_still_has_one(
    drawn: list[tuple[str, int, bool]], keep_days: int
) -> None:
    backups = [
        manifest(kind, days, f"{1000 - days:04}-{number}-{kind}", f"label-{number}")  # pyright: ignore[reportArgumentType]
        for number, (kind, days, _) in enumerate(drawn)
    ]
    damaged = {backup.id for backup, (_, _, good) in zip(backups, drawn, strict=True) if not good}
    gone = ids(expired(backups, now=NOW, keep_days=keep_days, damaged=damaged, base_labels=set()))
    for kind in KINDS:
        good = [each for each in backups if each.kind == kind and each.id not in damaged]
        if good:
            assert max(each.id for each in good) not in gone
