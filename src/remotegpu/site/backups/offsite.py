"""The second place: what a lost node must not take with it goes, encrypted, into a bucket elsewhere.

pgBackRest has a part of its own there. Nothing records what was sent: the bucket itself is looked at, so what an outage
left out is made up for.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path

from remotegpu.kit import files
from remotegpu.kit.clock import utc_now
from remotegpu.site import kept, lock
from remotegpu.site.backups import offsite_content as content
from remotegpu.site.backups import outcomes
from remotegpu.site.backups.buckets import S3Bucket
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import Manifest
from remotegpu.site.backups.offsite_sending import Sender, named
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.store import FOLDERS, Store
from remotegpu.site.backups.work import Say

TEMPORARY = ".sending"
OBJECTS = ".state/offsite-objects"
"""Holds the lock on sending objects, and what is on its way."""
Send = Callable[[], None]


def sync(settings: Settings, found: Store, say: Say) -> list[str]:
    """Copies of configuration and secrets, dumps, and copies of Redis: send what is not there yet, remove what was
    kept long enough. The caller holds the folder of backups. Returns the ids of the backups that were sent.

    Raises :class:`BackupError`, after everything was tried.
    """
    if settings.offsite is None:
        return []
    with outcomes.recorded(settings.backup_dir, outcomes.OFFSITE):
        now, keep = utc_now(), timedelta(days=settings.keep_days)
        bucket = S3Bucket(settings.offsite.bucket)
        there = {each.key for each in bucket.listed()}
        sender = Sender(found, bucket, settings.offsite.recipient, found.root / TEMPORARY)
        copies = content.unsent_copies(_copies(found.root), there)
        missing = content.unsent(found.all(), there, content.SENT, now, keep)
        steps: list[tuple[str, Send]] = [(path, partial(sender.put, path)) for path in copies]
        steps += [(each.id, partial(sender.backup, each)) for each in missing]
        _each(steps, say)
        others = {key for key in there if not _is_of_objects(key)}
        bucket.remove(content.expired(others, now, keep) + content.expired_copies(others))
    return [manifest.id for manifest in missing]


def sync_objects(settings: Settings, say: Say) -> list[str]:
    """The same for copies of objects: each content once, and an index when everything that it names is there.

    It may take hours, so the folder of backups is not held: others make theirs meanwhile. Raises
    :class:`BackupError`, :class:`~remotegpu.site.lock.SiteBusyError`.
    """
    if settings.offsite is None:
        return []
    work = settings.backup_dir / OBJECTS
    files.make_directory(work)
    with (
        lock.held(work, "sending objects off site", utc_now()),
        outcomes.recorded(settings.backup_dir, outcomes.OFFSITE_OBJECTS),
    ):
        now, keep = utc_now(), timedelta(days=settings.keep_days)
        found = Store(settings.backup_dir)
        bucket = S3Bucket(settings.offsite.bucket)
        there = {each.key for each in bucket.listed()}
        backups = found.all("objects")
        known = {each.id: sums for each in backups if (sums := named(found, each)) is not None}
        missing = content.unsent(backups, there, ("objects",), now, keep)
        looked_at = {
            each.id: each for each in (*missing, *backups[-1:])
        }  # the newest one may have lost a content
        sender = Sender(found, bucket, settings.offsite.recipient, work / TEMPORARY)
        _each(
            [(each.id, partial(_send_objects, sender, each, known, there)) for each in looked_at.values()],
            say,
        )
        gone = content.expired(filter(_is_of_objects, there), now, keep)
        bucket.remove([*gone, *content.unneeded(there.difference(gone), known)])
    return [manifest.id for manifest in missing]


def _send_objects(sender: Sender, manifest: Manifest, known: dict[str, set[str]], there: set[str]) -> None:
    """``there`` grows by what is sent."""
    wanted = known.get(manifest.id)
    if wanted is None:
        raise BackupError("its index is not what was written; remotegpu backups verify says more")
    lacking = sorted(each for each in wanted if content.content_key(each) not in there)
    sender.contents(lacking)
    there.update(map(content.content_key, lacking))
    key = content.manifest_key("objects", manifest.id)
    if key not in there:
        sender.backup(manifest)
        there.add(key)


def _each(steps: Iterable[tuple[str, Send]], say: Say) -> None:
    """One that fails keeps no other from being tried. Raises :class:`BackupError` that says which failed, and why."""
    failed: list[str] = []
    for name, send in steps:
        say(f"sending {name} off site")
        try:
            send()
        except BackupError as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise BackupError("not everything is off site: " + "\n".join(failed))


def _copies(root: Path) -> list[str]:
    """Of configuration and secrets, finished ones."""
    paths = (path for folder in kept.FOLDERS for path in (root / folder).glob("[0-9]*"))
    return sorted(str(path.relative_to(root)) for path in paths)


def _is_of_objects(key: str) -> bool:
    return key.startswith(f"{FOLDERS['objects']}/")
