"""People are told once that something failed and once that it works again, over restarts, outages and full disks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from remotegpu.kit.channels.models import Channel, ChannelError, Message, Wecom
from remotegpu.kit.clock import utc_now
from remotegpu.site.backups import metrics, notices, outbox, schedule
from remotegpu.site.backups.due import ATTEMPTS
from remotegpu.site.backups.notices import Speaker
from remotegpu.site.backups.outbox import State
from remotegpu.site.backups.settings import load
from remotegpu.site.backups.telling import Teller

NOW = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
OPS, BOSS = Wecom(name="ops", url_file="/ops"), Wecom(name="boss", url_file="/boss")
SPEAKER = Speaker(site="acme", language="en", zone=ZoneInfo("Asia/Shanghai"), link="https://gpu.example.com")


def said(number: int, at: datetime = NOW) -> Message:
    return SPEAKER.failed(
        "drill", since=at, attempts=3, reason=f"reason {number}", at=at + number * MINUTE / 60
    )


class World:
    """Takes messages, or refuses them as long as ``down`` holds the channel's name."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.got: list[tuple[str, str]] = []
        self.tried = 0

    def send(self, channel: Channel, message: Message, _now: datetime) -> None:
        self.tried += 1
        if channel.name in self.down:
            raise ChannelError(channel, "errcode 45009: api freq out of limit", "a yes", "Wait.")
        self.got.append((channel.name, message.title))


@pytest.fixture
def world() -> World:
    return World()


def teller(root: Path, world: World, *channels: Channel) -> Teller:
    """As after a restart."""
    return Teller(root, channels or (OPS,), SPEAKER, world.send)


def fail(told: Teller, attempts: int = ATTEMPTS) -> None:
    """One due time whose attempts all fail."""
    for attempt in range(1, attempts + 1):
        told.job_failed("drill", "12 rows are missing", NOW, is_final=attempt == ATTEMPTS)
        told.deliver()


FAILED, WORKS = ("ops", "The nightly restore drill failed"), ("ops", "The nightly restore drill works again")


def test_only_the_last_attempt_is_told_and_only_once_until_it_works(tmp_path: Path, world: World) -> None:
    fail(teller(tmp_path, world), attempts=2)
    assert world.got == []
    told = teller(tmp_path, world)
    told.job_failed("drill", "12 rows are missing", NOW, is_final=True)
    told.deliver()
    assert world.got == [FAILED]
    for _night in range(3):
        fail(teller(tmp_path, world))
    assert world.got == [FAILED]
    for _night in range(2):
        told = teller(tmp_path, world)
        told.job_worked("drill")
        told.deliver()
    assert world.got == [FAILED, WORKS]
    fail(teller(tmp_path, world))
    assert world.got == [FAILED, WORKS, FAILED]


def test_what_was_mended_before_the_last_attempt_is_not_told(tmp_path: Path, world: World) -> None:
    told = teller(tmp_path, world)
    fail(told, attempts=2)
    told.job_worked("drill")
    told.deliver()
    assert world.got == []


def test_jobs_are_told_apart_and_every_channel_hears_of_them(tmp_path: Path, world: World) -> None:
    told = teller(tmp_path, world, OPS, BOSS)
    told.job_failed("drill", "x", NOW, is_final=True)
    told.job_failed("daily", "y", NOW, is_final=True)
    told.job_worked("drill")
    told.deliver()
    assert [title for name, title in world.got if name == "boss"] == [
        "The nightly restore drill failed",
        "The daily backup of the database failed",
        "The nightly restore drill works again",
    ]
    assert sorted(world.got) == sorted(
        [(name, title) for name in ("ops", "boss") for own, title in world.got if own == "ops"]
    )


def test_a_channel_that_fails_is_kept_for_later_and_holds_up_no_other(tmp_path: Path, world: World) -> None:
    world.down = {"ops"}
    told = teller(tmp_path, world, OPS, BOSS)
    fail(told)
    told.deliver()
    assert world.got == [("boss", FAILED[1])]
    state = outbox.read(tmp_path)
    (waiting,) = state.waiting
    assert (waiting.channel, waiting.attempts) == ("ops", 1)
    assert state.channels["ops"].failed == 1
    assert "errcode 45009" in state.channels["ops"].error
    assert state.channels["boss"].sent == 1


def test_after_a_restart_it_is_sent_when_its_time_has_come(tmp_path: Path, world: World) -> None:
    world.down = {"ops"}
    fail(teller(tmp_path, world))
    world.down = set()
    again = teller(tmp_path, world)
    again.deliver()
    assert world.got == []
    state = outbox.read(tmp_path)
    (waiting,) = state.waiting
    assert outbox.due(state, utc_now() + outbox.FIRST_RETRY) == [waiting]
    outbox.write(tmp_path, outbox.not_delivered(state, waiting, "x", utc_now() - DAY))
    teller(tmp_path, world).deliver()
    assert world.got == [FAILED]
    assert outbox.read(tmp_path).channels["ops"].is_well


def test_it_waits_longer_each_time_and_gives_up_at_last() -> None:
    state, now, tries = outbox.put(State(), said(0), ["ops"]), NOW, 0
    gaps: list[timedelta] = []
    while state.waiting:
        if ready := outbox.due(state, now):
            state = outbox.not_delivered(state, ready[0], "down", now)
            tries += 1
            gaps.append(state.waiting[0].not_before - now)  # type: ignore[operator]
        now += MINUTE
        state = outbox.tidied(state, {"ops"}, now)
    assert [gap / MINUTE for gap in gaps[:8]] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert now - NOW > outbox.KEPT_FOR
    assert tries < 100
    assert state.channels["ops"].given_up == 1


def test_the_order_of_a_channel_stays_and_a_crowd_gives_way_from_its_oldest() -> None:
    state = State()
    for number in range(outbox.MOST_WAITING + 5):
        state = outbox.put(state, said(number), ["ops"])
    assert len(state.waiting) == outbox.MOST_WAITING
    assert state.waiting[0].message == said(5)
    assert state.channels["ops"].given_up == 5
    (head,) = outbox.due(state, NOW)
    state = outbox.not_delivered(state, head, "down", NOW)
    assert outbox.due(state, NOW) == []


def test_a_channel_that_is_no_more_is_forgotten(tmp_path: Path, world: World) -> None:
    world.down = {"ops"}
    fail(teller(tmp_path, world))
    told = teller(tmp_path, world, BOSS)
    told.deliver()
    assert outbox.read(tmp_path).waiting == ()
    assert outbox.read(tmp_path).channels == {}


def test_without_channels_nothing_is_kept_so_that_the_first_one_hears_of_what_still_fails(
    tmp_path: Path, world: World
) -> None:
    silent = Teller(tmp_path, (), SPEAKER, world.send)
    fail(silent)
    assert not (tmp_path / outbox.STATE).exists()
    fail(teller(tmp_path, world))
    assert world.got == [FAILED]


def test_a_full_disk_keeps_nobody_from_being_told_and_not_twice(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = teller(tmp_path, world)

    def full(_root: Path, _state: State) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outbox, "write", full)
    fail(told)
    fail(told)
    assert world.got == [FAILED]


def test_an_error_that_nobody_thought_of_does_not_stop_the_others_and_is_not_quoted(tmp_path: Path) -> None:
    got: list[str] = []

    def send(channel: Channel, _message: Message, _now: datetime) -> None:
        if channel.name == "ops":
            raise RuntimeError("https://robot.example.com/send?key=0123456789")
        got.append(channel.name)

    fail(Teller(tmp_path, (OPS, BOSS), SPEAKER, send))
    assert got == ["boss"]
    state = outbox.read(tmp_path)
    assert "RuntimeError" in state.channels["ops"].error
    assert "0123456789" not in state.channels["ops"].error


@pytest.mark.parametrize(
    ("language", "title", "since"),
    [
        ("en", "The nightly restore drill failed", "failed 3 times since 2026-11-25 04:00 (Asia/Shanghai)."),
        ("zh", "每晚恢复演练失败", "自 2026-11-25 04:00 (Asia/Shanghai) 起失败 3 次。"),
    ],
)
def test_a_message_says_what_failed_since_when_why_and_what_to_do(
    language: notices.Language, title: str, since: str
) -> None:
    speaker = Speaker(site="acme", language=language, zone=ZoneInfo("Asia/Shanghai"), link="https://x")
    message = speaker.failed("drill", since=NOW, attempts=3, reason="no room", at=NOW)
    assert (message.title, message.level, message.link) == (title, "problem", "https://x")
    for part in (since, "no room", "remotegpu site drill"):
        assert part in message.text
    long = speaker.failed("drill", since=NOW, attempts=3, reason="x" * 9000, at=NOW)
    assert len(long.text) < 2000


def test_every_job_has_its_words_in_both_languages() -> None:
    names = set(schedule.WORK)
    for words in notices.WORDS.values():
        assert set(words.jobs) == set(words.remedies) == names


@pytest.fixture
def failing_site(tmp_path: Path) -> dict[str, str]:
    """Without a database: every backup of it fails."""
    for folder in ("backups", "scratch", "socket"):
        (tmp_path / folder).mkdir()
    (tmp_path / "url").write_text("https://127.0.0.1:9/send?key=0123456789")
    return {
        "SITE_NAME": "acme",
        "BACKUP_DIR": str(tmp_path / "backups"),
        "SCRATCH_DIR": str(tmp_path / "scratch"),
        "PGHOST": str(tmp_path / "socket"),
        "ALERT_CHANNELS": f'[{{"kind": "wecom", "name": "ops", "url_file": "{tmp_path / "url"}"}}]',
        "ALERT_LANGUAGE": "en",
    }


def test_the_metrics_say_how_telling_goes(failing_site: dict[str, str], world: World) -> None:
    settings = load(failing_site)
    world.down = {"ops"}
    told = Teller(settings.backup_dir, settings.alerts.channels, SPEAKER, world.send)
    fail(told)
    registry = CollectorRegistry()
    registry.register(metrics.Backups(settings))
    shown = generate_latest(registry).decode()
    for line in (
        'remotegpu_backup_notifications_sent_total{channel="ops"} 0.0',
        'remotegpu_backup_notifications_failed_total{channel="ops"} 1.0',
        'remotegpu_backup_notifications_waiting{channel="ops"} 1.0',
        'remotegpu_backup_notifications_healthy{channel="ops"} 0.0',
    ):
        assert line in shown.splitlines()
