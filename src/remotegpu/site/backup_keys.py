"""The keys of continuous backups, and the repository that each of them opens. Pure.

pgBackRest cannot give a repository another key, so each key has a repository of its own: the first one at the path
that the bundle names, every later one in a folder below it. The secret itself says which is where, a line for each key:
the one in use, perhaps one that is announced, and retired ones, each with the moment until which it is kept.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath

import msgspec

from remotegpu.site.secrets import UNTIL

NAME = "backup_cipher_key"
"""Of the secret."""
REPOSITORY = " repository="
LOCAL = "/backups/pgbackrest"
OFFSITE = "/pgbackrest"
CONFIGURATION = "pgbackrest.conf"
RESTORE, NEXT = "restore", "next"
"""Folders with a configuration of their own: for reading, with the retired keys; and for the announced key alone."""
RETIRED = f"{RESTORE}/retired.json"


@dataclass(frozen=True, kw_only=True)
class Key:
    """``repository``: name of its folder; empty for the first key's. ``until``: None for one that is not retired."""

    value: str = field(repr=False)
    repository: str = ""
    until: datetime | None = None

    @property
    def local(self) -> PurePosixPath:
        """As the containers see it."""
        return PurePosixPath(LOCAL, self.repository)

    @property
    def offsite(self) -> PurePosixPath:
        """In the bucket."""
        return PurePosixPath(OFFSITE, self.repository)


class Retired(msgspec.Struct, kw_only=True, frozen=True):
    """Where a retired key's repository is, and until when: no secret. ``offsite``: as a path in the bucket."""

    local: str
    offsite: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where repositories are kept off site."""

    host: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Ring:
    """All keys of a site, by what they are for."""

    in_use: Key
    announced: Key | None
    retired: tuple[Key, ...]


def ring(lines: Iterable[str]) -> Ring:
    """Of the secret's lines."""
    keys = [parse(line) for line in lines]
    standing = [key for key in keys if key.until is None]
    retired = tuple(key for key in keys if key.until is not None)
    return Ring(standing[0], standing[1] if len(standing) > 1 else None, retired)


def lines(keys: Ring) -> list[str]:
    """The reverse."""
    announced = (keys.announced,) if keys.announced else ()
    return [line(key) for key in (keys.in_use, *announced, *keys.retired)]


def parse(text: str) -> Key:
    rest, _, until = text.partition(UNTIL)
    value, _, repository = rest.partition(REPOSITORY)
    return Key(value=value, repository=repository, until=datetime.fromisoformat(until) if until else None)


def line(key: Key) -> str:
    """The reverse."""
    repository = f"{REPOSITORY}{key.repository}" if key.repository else ""
    until = f"{UNTIL}{key.until.isoformat(timespec='seconds')}" if key.until else ""
    return f"{key.value}{repository}{until}"


def new(value: str) -> Key:
    """With a repository that is named by a fingerprint: the value is random and long, so that it tells nothing."""
    return Key(value=value, repository=hashlib.sha256(value.encode()).hexdigest()[:12])


def configurations(keys: Ring, stanza: str, store: Store | None) -> dict[str, str]:
    """What pgBackRest reads beside the bundle's file, by path below the service's secrets.

    The first is for everything that writes, and knows one key: what is retired encrypts nothing any more.
    """
    found = {
        CONFIGURATION: _text([keys.in_use], stanza, store),
        f"{RESTORE}/{CONFIGURATION}": _text([keys.in_use, *keys.retired], stanza, store),
        RETIRED: msgspec.json.encode(_retired(keys.retired)).decode() + "\n",
    }
    if keys.announced:
        found[f"{NEXT}/{CONFIGURATION}"] = _text([keys.announced], stanza, store)
    return found


def _retired(keys: Iterable[Key]) -> list[Retired]:
    return [
        Retired(local=str(key.local), offsite=str(key.offsite), until=key.until) for key in keys if key.until
    ]


def _text(keys: Sequence[Key], stanza: str, store: Store | None) -> str:
    """The bundle's file has all but the keys of the first repositories; those after them are told whole.

    A path stands in the stanza's section: there it comes before the one that the bundle has for all stanzas.
    """
    everywhere, of_stanza, number = ["[global]"], [f"[{stanza}]"], 1
    for key in keys:
        for options, path in _repositories(key, store, told=key is keys[0]):
            everywhere += [f"repo{number}-{option}" for option in options]
            if key.repository or key is not keys[0]:
                of_stanza.append(f"repo{number}-path={path}")
            number += 1
    return "\n".join([*everywhere, *(of_stanza if len(of_stanza) > 1 else ())]) + "\n"


def _repositories(key: Key, store: Store | None, *, told: bool) -> Iterable[tuple[list[str], PurePosixPath]]:
    """Options and path of each repository of ``key``, the local one first. ``told``: the bundle has the plain ones."""
    plain = [] if told else ["cipher-type=aes-256-cbc"]
    yield [f"cipher-pass={key.value}", *plain], key.local
    if store is not None:
        where = [
            "type=s3",
            f"s3-endpoint={store.host}",
            f"s3-bucket={store.bucket}",
            f"s3-region={store.region}",
        ]
        plain += [] if told else [*where, "s3-uri-style=path"]
        access = [f"s3-key={store.access_key}", f"s3-key-secret={store.secret_key}"]
        yield [f"cipher-pass={key.value}", *access, *plain], key.offsite
