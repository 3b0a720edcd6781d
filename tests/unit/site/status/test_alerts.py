"""Whether anybody hears of a failure: channels that are missing, refuse, or work."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from remotegpu.kit.channels.models import Message
from remotegpu.site.backups import outbox
from remotegpu.site.backups.outbox import State
from remotegpu.site.config import loading
from remotegpu.site.place import Place
from remotegpu.site.status.facts import AlertChannel, Unknown
from remotegpu.site.status.gathering import alerts as gathering
from remotegpu.site.status.items import Item
from remotegpu.site.status.judging import alerts

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MESSAGE = Message(id="m", source="acme", title="t", text="", level="problem", at=NOON)


def site(folder: Path) -> Place:
    text = (
        f"site: {{name: acme, domain: gpu.example.com, directory: {folder}}}\nrelease: {{version: v1.0.0}}\n"
        "alerts:\n  channels:\n    - {kind: wecom, name: ops, url_file: /u}\n"
        "    - {kind: feishu, name: boss, url_file: /u}\n"
    )
    return Place(loading.parse(text), folder / "remotegpu.yaml")


def judged(found: tuple[AlertChannel, ...] | Unknown) -> dict[str, Item]:
    return {item.name: item for item in alerts.judge(found, NOON)}


def test_a_site_that_tells_nobody_is_warned() -> None:
    item = judged(())["alerts"]
    assert item.level == "warning"
    assert "alerts.channels" in item.remedy


def test_what_the_container_kept_is_what_is_judged(tmp_path: Path) -> None:
    state = outbox.put(State(), MESSAGE, ["ops", "boss"])
    for waiting in outbox.due(state, NOON):
        if waiting.channel == "boss":
            state = outbox.delivered(state, waiting, NOON - timedelta(hours=3))
        else:
            state = outbox.not_delivered(state, waiting, "errcode 45009", NOON - timedelta(minutes=5))
    outbox.write(tmp_path / "backups", state)
    found = gathering.look(site(tmp_path))
    assert not isinstance(found, Unknown)
    items = judged(found)
    assert items["alerts boss"].level == "ok"
    assert items["alerts boss"].found == "took 1 messages, the last 3 hours ago"
    assert items["alerts ops"].level == "problem"
    assert items["alerts ops"].found == "refused 5 minutes ago, 1 messages wait: errcode 45009"
    assert items["alerts ops"].remedy.endswith("remotegpu site alerts test ops")


def test_channels_that_had_nothing_to_tell_are_well(tmp_path: Path) -> None:
    found = gathering.look(site(tmp_path))
    assert not isinstance(found, Unknown)
    assert {item.level for item in judged(found).values()} == {"ok"}


def test_what_may_not_be_read_is_unknown() -> None:
    assert judged(Unknown("no", "sudo"))["alerts"].level == "unknown"
