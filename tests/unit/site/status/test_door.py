"""Certificates as served, and readiness behind them."""

from datetime import UTC, datetime, timedelta

import pytest

from remotegpu.site.status.facts import Door
from remotegpu.site.status.items import Item
from remotegpu.site.status.judging import door

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def served(left_days: float, life_days: float = 365, **parts: object) -> dict[str, Item]:
    ends_at = NOON + timedelta(days=left_days)
    values = {"status": 200, "begins_at": ends_at - timedelta(days=life_days), "ends_at": ends_at} | parts
    found = Door(address="https://gpu.example.com:443 on this node", **values)  # type: ignore[arg-type]
    return {item.name: item for item in door.judge(found, NOON)}


@pytest.mark.parametrize(
    ("left_days", "life_days", "level"),
    [
        (31, 365, "ok"),
        (29, 365, "warning"),
        (6.9, 365, "problem"),
        (-1, 365, "problem"),
        (25, 90, "ok"),  # renewed by itself when a third is left
        (20, 90, "warning"),
        (2, 6, "ok"),
        (1, 6, "warning"),
        (0.5, 6, "problem"),
    ],
)
def test_days_left_are_judged_by_the_life_of_the_certificate(
    left_days: float, life_days: float, level: str
) -> None:
    item = served(left_days, life_days)["certificate"]
    assert item.level == level
    assert bool(item.remedy) == (level != "ok")


def test_an_ended_certificate_says_who_refuses_it() -> None:
    assert "ended on 2026-11-23" in served(-1)["certificate"].found


def test_a_closed_door_hides_what_is_behind_it() -> None:
    items = served(100, error="Connection refused")
    assert list(items) == ["front door"]
    assert items["front door"].level == "problem"
    assert "Connection refused" in items["front door"].found


def test_a_certificate_that_this_node_does_not_believe_is_a_warning_and_the_rest_is_still_seen() -> None:
    items = served(100, distrust="self-signed certificate")
    assert [(item.name, item.level) for item in items.values()] == [
        ("front door", "warning"),
        ("certificate", "ok"),
        ("readiness", "ok"),
    ]


@pytest.mark.parametrize(
    ("status", "said"), [(503, '{"ready":false,"checks":{"redis":"no"}}'), (0, "timed out")]
)
def test_what_is_not_ready_is_a_problem_that_says_why(status: int, said: str) -> None:
    item = served(100, status=status, said=said)["readiness"]
    assert item.level == "problem"
    assert said in item.found
