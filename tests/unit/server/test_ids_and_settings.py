"""Durations, identifiers, protocol versions, and the settings about agents."""

import time
import uuid

import pytest

from remotegpu.kit.durations import parse_duration
from remotegpu.kit.environment import SettingsError
from remotegpu.kit.ids import new_secret, secret_hash, uuid7
from remotegpu.protocol.version import is_compatible, parse
from remotegpu.server import settings
from remotegpu.server.agents.reports import Remembered


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("15m", 900), ("7d", 604_800), (" 2H ", 7200), ("1w", 604_800), ("0s", 0)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "1.5h", "5 m", "10y", "1" * 20, "٣m" * 2])
def test_unusable_duration_says_what_was_found_and_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a whole number with s, m, h, d or w"):
        parse_duration(text)


def test_ids_are_version_7_and_sort_by_creation() -> None:
    made: list[uuid.UUID] = []
    for _ in range(5):
        made.append(uuid7())
        time.sleep(0.002)
    assert made == sorted(made)
    assert {identifier.version for identifier in made} == {7}
    assert {identifier.variant for identifier in made} == {uuid.RFC_4122}
    assert len({uuid7() for _ in range(1000)}) == 1000


def test_secrets_show_what_they_are_and_are_kept_as_hashes() -> None:
    secret = new_secret("rgn_")
    assert secret.startswith("rgn_")
    assert len(secret) >= 4 + 43
    assert secret not in secret_hash(secret)
    assert len(secret_hash(secret)) == 64


@pytest.mark.parametrize(
    ("theirs", "compatible"),
    [
        ("1.4", True),
        ("1.3", True),
        ("1.5", True),
        ("1.2", False),
        ("1.6", False),
        ("0.4", False),
        ("2.4", False),
    ],
)
def test_neighbours_by_one_minor_version_work_together(theirs: str, compatible: bool) -> None:
    assert is_compatible(theirs, "1.4") is compatible


@pytest.mark.parametrize("version", ["", "1", "1.", ".1", "a.b", "1.1.1", "-1.1", "1.1 ", "v1.1"])
def test_unreadable_version_is_refused_with_an_example(version: str) -> None:
    with pytest.raises(ValueError, match=r"expected MAJOR\.MINOR such as"):
        parse(version)


def agents(**variables: str) -> settings.AgentSettings:
    environment = settings.Environment(variables)
    found = settings._agents(environment)
    environment.finish()
    return found


def test_poll_is_short_enough_for_the_lease_and_the_silence_it_must_not_look_like() -> None:
    assert agents().sync_wait_seconds == 25
    assert agents(AGENT_LEASE_SECONDS="30").sync_wait_seconds == 10
    assert agents(AGENT_LEASE_SECONDS="30", AGENT_UNREACHABLE_AFTER="9s").sync_wait_seconds == 3


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({"AGENT_SYNC_WAIT": "26s"}, "AGENT_SYNC_WAIT"),
        ({"AGENT_SYNC_WAIT": "0s"}, "AGENT_SYNC_WAIT"),
        ({"AGENT_SYNC_WAIT": "20s", "AGENT_LEASE_SECONDS": "30"}, "AGENT_SYNC_WAIT"),
        ({"AGENT_LEASE_SECONDS": "1"}, "AGENT_LEASE_SECONDS"),
        ({"AGENT_UNREACHABLE_AFTER": "10m"}, "AGENT_UNREACHABLE_AFTER"),
        ({"AGENT_DIAL_TIMEOUT": "soon"}, "AGENT_DIAL_TIMEOUT"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(variables: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        agents(**variables)
    assert any(problem.startswith(f"{key}: found") for problem in caught.value.problems)


def test_memory_of_reports_is_bounded_and_keeps_what_was_heard_last() -> None:
    memory: Remembered[int, str] = Remembered(most=2)
    memory.put(1, "running")
    memory.put(2, "running")
    memory.put(1, "succeeded")
    memory.put(3, "running")
    assert memory.get(2) is None
    assert (memory.get(1), memory.get(3)) == ("succeeded", "running")
    memory.forget(1)
    memory.forget(99)
    assert memory.get(1) is None
