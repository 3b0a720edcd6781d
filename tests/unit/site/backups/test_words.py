"""What other programs print is understood, and turned into words that help."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remotegpu.protocol.audit_trail import GENESIS, entry_hash
from remotegpu.site.backups import audit, contents, drill, loading, pgbackrest, recovery, redis_copy, wal
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import Figures

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
INFO = """[{"archive":[{"database":{"id":1,"repo-key":1},"id":"17-1","max":"000000010000000000000003",
"min":"000000010000000000000001"}],"backup":[{"archive":{"start":"000000010000000000000002",
"stop":"000000010000000000000003"},"backrest":{"format":5,"version":"2.55.1"},"database":{"id":1,"repo-key":1},
"error":false,"info":{"delta":31073779,"repository":{"delta":3716720,"size":3716720},"size":31073779},
"label":"20261124-133205F","lsn":{"start":"0/2000028","stop":"0/3000050"},"prior":null,"reference":null,
"timestamp":{"start":1795527125,"stop":1795527126},"type":"full"}],"cipher":"aes-256-cbc","db":[],
"name":"remotegpu","repo":[{"cipher":"aes-256-cbc","key":1,"status":{"code":0,"message":"ok"}}],
"status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}]"""
"""As pgBackRest 2.55 prints it."""
VERIFY = """stanza: remotegpu
status: error
  archiveId: 17-1, total WAL checked: 3, total valid WAL: 2
    missing: 0, checksum invalid: 1, size invalid: 0, other: 0
  backup: 20261124-133205F, status: valid, total files checked: 1265, total valid files: 1265
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""
LOG = """LOG:  starting backup recovery
INFO: found 00000001000000000000000C in the archive
INFO: unable to find 00000001000000000000000D in the archive
LOG:  last completed transaction was at log time 2026-11-24 13:37:05.1+00
FATAL:  recovery ended before configured recovery target was reached
"""


def test_pgbackrest_s_list_is_read() -> None:
    stanza = pgbackrest.parsed(INFO)
    base = pgbackrest.described(stanza.of(1)[-1])
    assert (base.label, base.type, base.size, base.repository_size) == (
        "20261124-133205F",
        "full",
        31073779,
        3716720,
    )
    assert stanza.of(2) == []
    with pytest.raises(BackupError, match="expected JSON"):
        pgbackrest.parsed("ERROR: [055]")


def test_a_full_base_backup_is_made_once_a_week() -> None:
    (backup,) = pgbackrest.parsed(INFO).backup
    assert pgbackrest.next_type([], backup.at) == "full"
    assert pgbackrest.next_type([backup], backup.at + timedelta(days=6)) == "diff"
    assert pgbackrest.next_type([backup], backup.at + timedelta(days=7)) == "full"


def test_what_verify_complains_about_is_kept() -> None:
    found = pgbackrest.complaints(VERIFY)
    assert any("checksum invalid: 1" in line for line in found)
    good = VERIFY.replace("invalid: 1", "invalid: 0").replace("status: error", "status: ok")
    assert pgbackrest.complaints(good) == []


def test_a_wrong_key_is_named() -> None:
    assert "key" in pgbackrest.explained("ERROR: [029]: CryptoError: unable to flush")
    assert pgbackrest.explained("something else") == ""


def test_a_gap_in_the_wal_is_named() -> None:
    said = recovery.explained(LOG)
    assert "00000001000000000000000D is not in the archive" in said
    assert "2026-11-24 13:37:05.1+00" in said
    assert recovery.explained("FATAL: something else") == ""


def test_a_moment_outside_the_window_is_refused_with_the_window() -> None:
    span = wal.Window(oldest=NOW - timedelta(days=7), newest=NOW)
    wal.need_inside(span, NOW - timedelta(days=1))
    with pytest.raises(BackupError, match=r"before the oldest moment .* from 2026-11-17T12:00:00"):
        wal.need_inside(span, NOW - timedelta(days=8))
    with pytest.raises(BackupError, match="after the newest"):
        wal.need_inside(span, NOW + timedelta(seconds=1))


def test_the_archive_lags_only_behind_work_that_was_done() -> None:
    archived = NOW - timedelta(seconds=100)
    assert wal.lag_s(NOW, archived, archived - timedelta(seconds=1), exact=True, longest_s=None) == 0
    assert wal.lag_s(NOW, archived, NOW - timedelta(seconds=1), exact=True, longest_s=None) == 100
    assert wal.lag_s(NOW, archived, None, exact=True, longest_s=None) == 0
    assert wal.lag_s(NOW, archived, None, exact=False, longest_s=None) == 100
    assert wal.lag_s(NOW, archived, NOW - timedelta(seconds=1), exact=True, longest_s=60) == 60, (
        "idle until now"
    )
    assert wal.lag_s(NOW, NOW - timedelta(seconds=5), NOW, exact=True, longest_s=60) == 5


def test_archiving_fails_when_the_last_attempt_did() -> None:
    early, late = NOW - timedelta(minutes=1), NOW
    assert wal.is_failing(early, late)
    assert wal.is_failing(None, late)
    assert not wal.is_failing(late, early)
    assert not wal.is_failing(None, None)


def test_differences_between_tables_are_named() -> None:
    wanted = {
        "public.a": Figures(rows=1, checksum="1"),
        "public.b": Figures(rows=2, checksum="2"),
        "public.c": Figures(rows=3, checksum="3"),
    }
    found = {
        "public.a": Figures(rows=1, checksum="9"),
        "public.b": Figures(rows=1, checksum="2"),
        "public.d": Figures(rows=0, checksum="0"),
    }
    assert contents.differences(wanted, wanted) == []
    assert contents.differences(wanted, found) == [
        "table public.c is missing",
        "table public.d should not be there",
        "table public.a has other rows than when it was saved, though as many",
        "table public.b has 1 rows, expected 2",
    ]


def test_redis_says_how_it_is() -> None:
    found = redis_copy.info_fields("# Persistence\r\nloading:0\r\nrdb_saves:3\r\n\r\n")
    assert found == {"loading": "0", "rdb_saves": "3"}


def test_markers_tell_whether_the_right_moment_was_restored() -> None:
    assert drill.wrong_markers("x", ["x-before"]) == []
    assert "missing" in drill.wrong_markers("x", [])[0]
    assert "too far" in drill.wrong_markers("x", ["x-before", "x-after"])[0]


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        ("CREATE ROLE postgres;\n", True),
        ("CREATE ROLE postgres_exporter;\n", False),
        ("ALTER ROLE postgres WITH SUPERUSER;\n", False),
        ("CREATE TABLESPACE fast OWNER postgres LOCATION '/fast';\n", True),
    ],
)
def test_only_what_is_there_already_is_left_out_of_the_roles(line: str, left_out: bool) -> None:
    assert loading._is_left_out(line, "postgres") is left_out


def entries(count: int) -> Iterator[dict[str, Any]]:
    """A sealed trail as the database gives it."""
    previous = GENESIS
    for number in range(1, count + 1):
        entry: dict[str, Any] = {
            "id": number,
            "at": NOW + timedelta(seconds=number),
            "txid": number,
            "actor_id": None,
            "actor_name": "root",
            "action": "customer.create",
            "outcome": "allowed",
            "resource_type": "customer",
            "resource_id": str(number),
            "customer_id": None,
            "address": "",
            "request_id": "",
            "detail": {"n": number},
        }
        previous = entry_hash(previous, entry)
        yield entry | {"link_seq": number, "link_audit_id": number, "link_hash": previous}


def test_a_whole_chain_holds() -> None:
    assert audit.follow(entries(5)) == audit.Chain(sealed=5, problem="")
    assert audit.follow(iter(())) == audit.Chain(sealed=0, problem="")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"actor_name": "nobody"}, "entry 3 was changed"),
        ({"id": None}, "entry 3 was removed"),
        ({"link_seq": 4}, "link 3 is missing"),
    ],
)
def test_a_changed_trail_shows_where(change: dict[str, Any], problem: str) -> None:
    links = [link | (change if link["id"] == 3 else {}) for link in entries(5)]
    found = audit.follow(iter(links))
    assert found.sealed == 2
    assert problem in found.problem
