"""pgBackRest: base backups and WAL, with which any moment can be restored. Its key is in its own configuration file."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from remotegpu.site.backup_keys import CONFIGURATION, NEXT, RESTORE
from remotegpu.site.backups import programs
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import Base
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.work import Say
from remotegpu.site.runner import Command, CommandError, Done, attempt, run

INCLUDE = "PGBACKREST_CONFIG_INCLUDE_PATH"
NOTHING: Mapping[str, str] = {}
FULL_EVERY = timedelta(days=7)
SHOWN_LINES = 12
SHOWN_CHARACTERS = 300
SILENT = ("--log-level-console=off", "--log-level-stderr=off", "--log-level-file=off")
"""For JSON on stdout, which has what went wrong in it."""
QUIET = ("--log-level-console=off", "--log-level-stderr=error", "--log-level-file=off")
MISSING_STANZA = {1, 3}
"""Status codes of ``info``: no stanza at all, or none that this repository knows."""
NO_KEY = "the key in pgBackRest's configuration does not open the repository, or the repository is damaged"
OTHER_CLUSTER = (
    "the repository holds the backups of another cluster. If this one is new on purpose, restore from there first "
    "(--at newest), then: remotegpu backups run --kind base --new-cluster"
)
HINTS = (
    ("CryptoError", NO_KEY),
    ("FormatError", NO_KEY),  # what decrypting with another key gives is noise
    ("do not match", OTHER_CLUSTER),
    ("does not match", OTHER_CLUSTER),
    ("No space left", "the disk is full"),
    ("LockError", "another pgBackRest is at work; wait until it has ended"),
    (
        "ArchiveTimeout",
        "PostgreSQL hands over no WAL: look at archive_mode and archive_command, and into its log",
    ),
)


class Stamp(msgspec.Struct, frozen=True):
    start: int
    stop: int


class Span(msgspec.Struct, frozen=True):
    start: str
    stop: str


class Sizes(msgspec.Struct, frozen=True):
    size: int
    repository: dict[str, int | None]


class Repository(msgspec.Struct, frozen=True):
    key: int


class Database(msgspec.Struct, frozen=True, rename={"repository": "repo-key"}):
    repository: int


class Backup(msgspec.Struct, frozen=True):
    """One base backup. ``timestamp``: seconds since 1970."""

    label: str
    type: str
    timestamp: Stamp
    archive: Span
    info: Sizes
    database: Database

    @property
    def at(self) -> datetime:
        """From this moment on everything can be restored."""
        return datetime.fromtimestamp(self.timestamp.stop, UTC)


class Status(msgspec.Struct, frozen=True):
    code: int
    message: str


class StanzaRepository(msgspec.Struct, frozen=True):
    key: int
    status: Status
    cipher: str = "none"


class Archive(msgspec.Struct, frozen=True):
    """WAL segments from ``min`` to ``max``."""

    id: str
    min: str | None
    max: str | None
    database: Database


class Stanza(msgspec.Struct, frozen=True):
    """What ``info`` says. ``repo``: one entry per repository, the local one first."""

    name: str
    status: Status
    backup: tuple[Backup, ...] = ()
    repo: tuple[StanzaRepository, ...] = ()
    archive: tuple[Archive, ...] = ()

    def of(self, repository: int) -> list[Backup]:
        """Oldest first."""
        found = [each for each in self.backup if each.database.repository == repository]
        return sorted(found, key=lambda each: each.timestamp.stop)


def command(
    settings: Settings, *arguments: str, gently: bool = False, env: Mapping[str, str] = NOTHING
) -> Command:
    """``gently``: what may take its time while people work. ``env``: other keys than the one in use."""
    argv = ("pgbackrest", f"--stanza={settings.stanza}", *arguments)
    return Command(argv=(*programs.GENTLY, *argv) if gently else argv, env=env, timeout_s=programs.DAY_S)


def reading(settings: Settings) -> dict[str, str]:
    """Environment for what reads: it finds the repositories of retired keys too, after those in use."""
    return {INCLUDE: str(settings.keys_dir / RESTORE)}


def checked(asked: Command, what: str) -> Done:
    """Run it. Raises :class:`BackupError` that says in plain words what is the matter, where that is known."""
    try:
        return run(asked)
    except CommandError as error:
        said = readable(error.done.output)
        raise BackupError(f"{what}: {explained(error.done.output)}`{asked}` said:\n{said}") from error


def explained(output: str) -> str:
    """What pgBackRest's complaint means, for the known ones. Pure."""
    return next((f"{meaning}. " for sign, meaning in HINTS if sign in output), "")


def readable(output: str) -> str:
    """Its last lines, without those that a wrong key made noise of. Pure."""
    lines = [line for line in output.splitlines() if line.isprintable() and "\ufffd" not in line]
    return "\n".join(f"    {line[:SHOWN_CHARACTERS]}" for line in lines[-SHOWN_LINES:])


def info(settings: Settings) -> Stanza:
    """Of the repositories in use. Raises :class:`BackupError` when pgBackRest cannot say."""
    return _info(settings, NOTHING)


def info_to_read(settings: Settings) -> Stanza:
    """With the repositories of retired keys: everything that can be restored. Raises :class:`BackupError`."""
    return _info(settings, reading(settings))


def _info(settings: Settings, env: Mapping[str, str]) -> Stanza:
    what = "pgBackRest does not show its backups"
    done = checked(command(settings, "info", "--output=json", *SILENT, env=env), what)
    if "FormatError" in done.output or "CryptoError" in done.output:
        raise BackupError(f"{what}: {NO_KEY}")
    return parsed(done.output)


def parsed(output: str) -> Stanza:
    """Pure. Raises :class:`BackupError`."""
    try:
        stanzas: list[Any] = msgspec.json.decode(output.encode())  # Any: converted on the next line
        return msgspec.convert(stanzas[0], Stanza)
    except (msgspec.MsgspecError, IndexError) as error:
        raise BackupError(
            f"pgBackRest's list of backups reads {output[:200]!r}, expected JSON: {error}"
        ) from error


def next_type(backups: Sequence[Backup], now: datetime) -> str:
    """``full`` once a week, ``diff`` in between. Pure."""
    full = [backup.at for backup in backups if backup.type == "full"]
    return "diff" if full and now - max(full) < FULL_EVERY - timedelta(hours=1) else "full"


def prepare_next(settings: Settings) -> None:
    """Make the repositories of the announced key, which nothing uses yet. Raises :class:`BackupError`."""
    env = {INCLUDE: str(settings.keys_dir / NEXT)}
    if not (settings.keys_dir / NEXT / CONFIGURATION).exists():
        raise BackupError(
            f"found no {NEXT}/{CONFIGURATION} in {settings.keys_dir}, expected the announced key: "
            "`remotegpu site secrets rotate encryption-key` puts it there"
        )
    checked(command(settings, "stanza-create", *QUIET, env=env), "pgBackRest cannot make the next repository")


def back_up(settings: Settings, now: datetime, say: Say, *, new_cluster: bool = False) -> list[Base]:
    """A base backup into every repository; the WAL that goes with it is there when this returns.

    ``new_cluster``: a person says that this one takes over the repository of one that is gone.
    """
    stanza = info(settings)
    if stanza.status.code in MISSING_STANZA or any(
        each.status.code in MISSING_STANZA for each in stanza.repo
    ):
        say(f"creating stanza {settings.stanza}")
        checked(command(settings, "stanza-create", *QUIET), "pgBackRest cannot use its repository")
    if new_cluster:
        checked(
            command(settings, "stanza-upgrade", *QUIET), "the new cluster cannot take over the repository"
        )
    check(settings)
    made: list[Base] = []
    for repository in [each.key for each in stanza.repo] or [1]:
        kind = "full" if new_cluster else next_type(stanza.of(repository), now)
        say(f"base backup ({kind}) into repository {repository}")
        retention = f"--repo{repository}-retention-full"
        checked(
            command(
                settings,
                "backup",
                f"--repo={repository}",
                f"--type={kind}",
                "--start-fast",
                "--process-max=1",  # people work meanwhile
                f"{retention}-type=time",
                f"{retention}={settings.wal_days}",
                *QUIET,
                gently=True,
            ),
            "the base backup failed",
        )
        made.append(described(info(settings).of(repository)[-1]))
    return made


def described(backup: Backup) -> Base:
    """For the manifest. A repository of bundles knows its size as ``delta``. Pure."""
    sizes = backup.info.repository
    return Base(
        label=backup.label,
        type=backup.type,
        repository=backup.database.repository,
        size=backup.info.size,
        repository_size=sizes.get("size") or sizes.get("delta") or 0,
        wal_start=backup.archive.start,
        wal_stop=backup.archive.stop,
    )


def check(settings: Settings) -> None:
    """Make PostgreSQL hand over its current WAL segment and wait until it is in the repository."""
    checked(command(settings, "check", *QUIET), "WAL does not reach the repository")


def verify(settings: Settings) -> list[str]:
    """What is wrong in the repositories: every file of every backup and every WAL segment is read."""
    stanza = info_to_read(settings)
    used = [each.key for each in stanza.repo if stanza.of(each.key)]
    return [problem for repository in used for problem in _verify(settings, repository)]


def _verify(settings: Settings, repository: int) -> list[str]:
    options = (f"--repo={repository}", "--output=text", *QUIET)
    done = attempt(command(settings, "verify", *options, gently=True, env=reading(settings)))
    if done.code != 0:
        said = f"{explained(done.output)}{done.output.strip()[-2000:]}"
        return [f"pgBackRest verify of repository {repository}: {said}"]
    return complaints(done.output)


def complaints(output: str) -> list[str]:
    """Lines of ``verify`` that count something other than nothing. Pure."""
    bad = ("missing:", "checksum invalid:", "size invalid:", "other:")
    lines = [line.strip() for line in output.splitlines()]
    found: list[str] = []
    for line in lines:
        for part in line.split(","):
            name, _, count = part.strip().partition(": ")
            if f"{name}:" in bad and count.strip() not in {"0", ""}:
                found.append(line)
                break
        if "error" in line.lower() and "status: error" in line.lower():
            found.append(line)
    return list(dict.fromkeys(found))
