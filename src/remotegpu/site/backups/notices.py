"""What people are told of the backups and of changes that failed, in the language of the site. Pure."""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Literal

from remotegpu.kit import redaction
from remotegpu.kit.channels.models import Level, Message
from remotegpu.site.backups.due import Name

Language = Literal["en", "zh"]
Change = Literal["deploy", "rollback", "restore"]
MOST_CHARACTERS = 1500
"""Of a reason: what is longer is in the log."""
MOST_LINES = 2
"""Of what a change says of its failure: what comes after is the log of a container, which stays on the node."""


@dataclass(frozen=True)
class Words:
    """``jobs``: how each is called. ``remedies``: what to do when it failed."""

    failed: str
    failed_text: str
    works: str
    works_text: str
    tried: str
    tried_text: str
    change_failed: str
    change_failed_text: str
    changes: dict[Change, str]
    jobs: dict[Name, str]
    remedies: dict[Name, str]


LOOK = "remotegpu site status"
WORDS: dict[Language, Words] = {
    "en": Words(
        failed="{job} failed",
        failed_text="{job} failed {attempts} times since {since}.\nReason: {reason}\n"
        "What to do, on the node: {remedy}\nIt is tried again at its next time; you hear of it when it works again.",
        works="{job} works again",
        works_text="{job} is done. It had failed since {since}. Nothing is left to do.",
        tried="test message",
        tried_text="This channel ({channel}) works. You are told here when a backup or drill fails and when it works "
        "again.",
        change_failed="{change} failed",
        change_failed_text="{change} failed.\nReason: {reason}\n"
        f"What to do, on the node: {LOOK}; whoever started it has the whole output.",
        changes={"deploy": "A deployment", "rollback": "A rollback", "restore": "A restore of the database"},
        jobs={
            "daily": "The daily backup of the database",
            "redis": "The hourly copy of Redis",
            "objects": "The daily copy of the object store",
            "drill": "The nightly restore drill",
            "verify": "The weekly verification of backups",
        },
        remedies={
            "daily": f"{LOOK}; then remotegpu site backup",
            "redis": f"{LOOK}; then remotegpu site backup --kind redis",
            "objects": f"{LOOK}; then remotegpu site backup --kind objects",
            "drill": f"{LOOK}; then remotegpu site drill, and read what it says",
            "verify": f"{LOOK}; a damaged backup is not restored from: make a new one with remotegpu site backup",
        },
    ),
    "zh": Words(
        failed="{job}失败",
        failed_text="{job}自 {since} 起失败 {attempts} 次。\n原因：{reason}\n处理（在节点上执行）：{remedy}\n"
        "到下一个计划时间会再次尝试，恢复正常后会另行通知。",
        works="{job}已恢复正常",
        works_text="{job}已完成。此前自 {since} 起失败。无需处理。",
        tried="测试消息",
        tried_text="通道 {channel} 可用。备份或恢复演练失败以及恢复正常时，将在此通知。",
        change_failed="{change}失败",
        change_failed_text="{change}失败。\n原因：{reason}\n"
        f"处理（在节点上执行）：{LOOK}；完整输出见执行者的终端。",
        changes={"deploy": "部署", "rollback": "回滚", "restore": "数据库恢复"},
        jobs={
            "daily": "数据库每日备份",
            "redis": "Redis 每小时备份",
            "objects": "对象存储每日备份",
            "drill": "每晚恢复演练",
            "verify": "每周备份校验",
        },
        remedies={
            "daily": f"{LOOK}；然后 remotegpu site backup",
            "redis": f"{LOOK}；然后 remotegpu site backup --kind redis",
            "objects": f"{LOOK}；然后 remotegpu site backup --kind objects",
            "drill": f"{LOOK}；然后 remotegpu site drill 并查看输出",
            "verify": f"{LOOK}；不要用损坏的备份恢复，请用 remotegpu site backup 重新备份",
        },
    ),
}


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """Who tells, and how. ``link``: the site's address."""

    site: str
    language: Language
    zone: tzinfo
    link: str

    def failed(self, job: Name, *, since: datetime, attempts: int, reason: str, at: datetime) -> Message:
        words = WORDS[self.language]
        text = words.failed_text.format(
            job=words.jobs[job],
            attempts=attempts,
            since=self._moment(since),
            reason=_shortened(reason),
            remedy=words.remedies[job],
        )
        title = words.failed.format(job=words.jobs[job])
        return self._message(f"{job}-failed", title, text, "problem", at)

    def works(self, job: Name, *, since: datetime, at: datetime) -> Message:
        words = WORDS[self.language]
        text = words.works_text.format(job=words.jobs[job], since=self._moment(since))
        title = words.works.format(job=words.jobs[job])
        return self._message(f"{job}-works", title, text, "resolved", at)

    def change_failed(self, change: Change, *, reason: str, at: datetime) -> Message:
        words = WORDS[self.language]
        said = "\n".join(reason.splitlines()[:MOST_LINES])
        what = words.changes[change]
        text = words.change_failed_text.format(change=what, reason=_shortened(said))
        return self._message(f"{change}-failed", words.change_failed.format(change=what), text, "problem", at)

    def tried(self, channel: str, *, at: datetime) -> Message:
        words = WORDS[self.language]
        text = words.tried_text.format(channel=channel)
        return self._message(f"{channel}-tried", words.tried, text, "info", at)

    def _message(self, event: str, title: str, text: str, level: Level, at: datetime) -> Message:
        return Message(
            id=f"{self.site}-{event}-{at:%Y%m%dT%H%M%S%f}",
            source=self.site,
            title=title,
            text=text,
            level=level,
            at=at,
            link=self.link,
        )

    def _moment(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%Y-%m-%d %H:%M} ({self.zone})"


def _shortened(reason: str) -> str:
    """It leaves the site: without what looks like a credential."""
    safe = redaction.redactor(())(reason)
    return safe if len(safe) <= MOST_CHARACTERS else safe[:MOST_CHARACTERS] + " …"
