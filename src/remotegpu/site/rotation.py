"""What a rotation does to the secrets, phase by phase. Pure: from the lines of each secret to its new lines.

announce: the new value is accepted everywhere, the old one is used. use: the other way round. retire: the old one is
refused. Between them the programs are started anew, one slot after the other.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from remotegpu.site import backup_keys
from remotegpu.site.bundle.topology import APP_ROLES
from remotegpu.site.secrets import UNTIL

Topic = Literal["jwt", "db", "redis", "encryption-key"]
TOPICS: tuple[Topic, ...] = ("jwt", "db", "redis", "encryption-key")
READ_AT_START: frozenset[Topic] = frozenset(("jwt", "db", "redis"))
"""What programs read when they start, so that a new value needs new ones."""
Phase = Literal["announce", "use", "retire"]
PHASES: tuple[Phase, ...] = ("announce", "use", "retire")
Lines = Mapping[str, list[str]]
"""Secret -> its lines, the one in use first."""

REDIS: Mapping[str, str] = {
    "redis_password": "remotegpu",
    "redis_backup_password": "backup",
    "redis_operator_password": "operator",
}
"""Secret -> user of Redis."""


def other_role(role: str) -> str:
    """They take turns."""
    return APP_ROLES[1 - APP_ROLES.index(role)]


READ = ("jwt_secret", "db_user", *REDIS, backup_keys.NAME)
"""The secrets whose lines a decision needs."""


class Before(msgspec.Struct, kw_only=True, frozen=True):
    """What was in use when a rotation began, so that a phase can be done again after a crash and change no more.

    ``passwords``: fingerprints of Redis' passwords, by secret. ``backup_key``: that of the key of continuous backups;
    empty in the journal of a toolkit that did not rotate it.
    """

    role: str
    passwords: dict[str, str]
    backup_key: str = ""


def before(lines: Lines) -> Before:
    """Of the secrets as they are."""
    return Before(
        role=lines["db_user"][0],
        passwords={name: fingerprint(lines[name][0]) for name in REDIS},
        backup_key=fingerprint(backup_keys.parse(lines[backup_keys.NAME][0]).value),
    )


def fingerprint(value: str) -> str:
    """Tells two random values apart, and nothing else."""
    return hashlib.sha256(value.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a decision may not make up itself. ``token_lifetime``: how long tokens of the old key may still be shown.

    ``backup_window``: how far back any moment can be restored.
    """

    new: Callable[[], str]
    now: datetime
    token_lifetime: timedelta
    backup_window: timedelta


def after(
    phase: Phase, topics: Iterable[Topic], lines: Lines, was: Before, means: Means
) -> dict[str, list[str]]:
    """The secrets that ``phase`` changes."""
    changed: dict[str, list[str]] = {}
    for topic in topics:
        if topic == "jwt":
            changed |= _jwt(phase, lines["jwt_secret"], means)
        elif topic == "db":
            changed |= _database(phase, was.role, means.new)
        elif topic == "encryption-key":
            changed |= _encryption_key(phase, lines[backup_keys.NAME], was.backup_key, means)
        else:
            changed |= {name: _redis(phase, lines[name], was.passwords[name], means.new) for name in REDIS}
    return changed


def _jwt(phase: Phase, lines: list[str], means: Means) -> dict[str, list[str]]:
    """The old key is believed as long as tokens live that it signed, and ends by itself."""
    believed = [line for line in lines if not _is_over(line, means.now)]
    ending = [line for line in believed if UNTIL in line]
    standing = [line for line in believed if UNTIL not in line]
    if phase == "announce":
        return {"jwt_secret": [standing[0], means.new(), *ending]}
    if phase == "use" and len(standing) > 1:
        until = (means.now + means.token_lifetime).isoformat(timespec="seconds")
        return {"jwt_secret": [standing[1], f"{standing[0]}{UNTIL}{until}", *ending]}
    return {}


def _is_over(line: str, now: datetime) -> bool:
    _, _, until = line.partition(UNTIL)
    return bool(until) and datetime.fromisoformat(until) <= now


def _database(phase: Phase, old_role: str, new: Callable[[], str]) -> dict[str, list[str]]:
    """The role that is not in use gets a new password, then it is used, then the other one's password goes too."""
    new_role = other_role(old_role)
    if phase == "announce":
        return {f"db_password_{new_role[-1]}": [new()]}
    if phase == "use":
        return {"db_user": [new_role]}
    return {
        f"db_password_{old_role[-1]}": [new()],
        "db_owner_password": [new()],
        "db_superuser_password": [new()],
    }


def _redis(phase: Phase, lines: list[str], old: str, new: Callable[[], str]) -> list[str]:
    olds = [line for line in lines if fingerprint(line) == old]
    news = [line for line in lines if fingerprint(line) != old]
    if phase == "announce":
        return [*olds, new()]
    return [*news, *olds] if phase == "use" else news


def _encryption_key(phase: Phase, lines: list[str], old: str, means: Means) -> dict[str, list[str]]:
    """The old key is kept as long as moments can be restored that it encrypted. Then it goes, with its repository."""
    keys = backup_keys.ring(lines)
    if phase == "announce" and keys.announced is None:
        changed = replace(keys, announced=backup_keys.new(means.new()))
    elif phase == "use" and keys.announced and fingerprint(keys.in_use.value) == old:
        until = means.now + means.backup_window
        retired = (replace(keys.in_use, until=until), *keys.retired)
        changed = backup_keys.Ring(keys.announced, None, retired)
    else:
        return {}
    return {backup_keys.NAME: backup_keys.lines(changed)}
