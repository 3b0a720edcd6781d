"""When the repository of a retired key may go."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from remotegpu.site.backup_keys import Retired
from remotegpu.site.backups import retired
from remotegpu.site.backups.pgbackrest import Stanza

NOW = datetime(2026, 3, 10, tzinfo=UTC)
WINDOW = timedelta(days=7)
OVER = Retired(local="/backups/pgbackrest", offsite="/pgbackrest", until=NOW - timedelta(hours=1))
KEPT = Retired(local="/backups/pgbackrest/ab", offsite="/pgbackrest/ab", until=NOW + timedelta(hours=1))


def stanza(*ages: tuple[int, timedelta], repositories: int = 1) -> Stanza:
    """``ages``: number of the repository and age of each base backup in it."""
    backups = [
        {
            "label": "20260301-000000F",
            "type": "full",
            "timestamp": {"start": 0, "stop": int((NOW - age).timestamp())},
            "archive": {"start": "0", "stop": "1"},
            "info": {"size": 1, "repository": {}},
            "database": {"repo-key": number},
        }
        for number, age in ages
    ]
    status = {"code": 0, "message": "ok"}
    used = [{"key": number, "status": status} for number in range(1, repositories + 1)]
    return msgspec.convert({"name": "remotegpu", "status": status, "backup": backups, "repo": used}, Stanza)


@pytest.mark.parametrize(
    ("in_use", "goes"),
    [
        (stanza((1, WINDOW)), True),
        (stanza((1, timedelta(days=8)), (1, timedelta(days=1))), True),
        (stanza((1, timedelta(days=6))), False),
        (stanza(), False),
        (stanza((1, WINDOW), repositories=2), False),
        (stanza((1, WINDOW), (2, WINDOW), repositories=2), True),
        (stanza(repositories=0), False),
    ],
)
def test_it_goes_when_its_time_is_over_and_each_repository_in_use_has_the_whole_window(
    in_use: Stanza, goes: bool
) -> None:
    assert retired.superfluous([OVER, KEPT], in_use, NOW, WINDOW) == ([OVER] if goes else [])
