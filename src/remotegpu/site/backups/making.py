"""Making a backup of one kind: into an unfinished folder, described by a manifest, then there as a whole."""

import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from remotegpu import __version__
from remotegpu.kit.clock import utc_now
from remotegpu.site.backups import (
    buckets,
    dumping,
    objects,
    offsite,
    offsite_content,
    outcomes,
    pgbackrest,
    redis_copy,
    store,
)
from remotegpu.site.backups.errors import BackupError, SomeFailedError, UsageError
from remotegpu.site.backups.manifests import KINDS, Kind, Manifest, new_id
from remotegpu.site.backups.settings import Settings
from remotegpu.site.backups.store import Store
from remotegpu.site.backups.work import Say, need_room, writing


def wanted(settings: Settings, kind: str) -> list[Kind]:
    """The kinds that ``kind`` asks for; ``all``: those this site has. Raises :class:`UsageError`."""
    if kind == "all":
        return [each for each in KINDS if _missing(settings, each) is None]
    known: Kind | None = next((each for each in KINDS if each == kind), None)
    if known is None:
        raise UsageError(f"found --kind {kind}, expected all or one of {', '.join(KINDS)}")
    missing = _missing(settings, known)
    if missing:
        raise UsageError(f"found no {missing} in the environment, expected it for a backup of kind {kind}")
    return [known]


def _missing(settings: Settings, kind: Kind) -> str | None:
    if kind == "redis" and settings.redis is None:
        return "REDIS_ADDR"
    if kind == "objects" and settings.objects is None:
        return "S3_ENDPOINT"
    return None


@dataclass(frozen=True, kw_only=True)
class Meant:
    """What a person said about it. ``accept_deletions``: objects that vanished were deleted on purpose.

    ``new_cluster``: the database is another one than the base backups are of.
    """

    accept_deletions: bool = False
    new_cluster: bool = False


NOTHING = Meant()


def make(
    settings: Settings,
    kinds: Sequence[Kind],
    *,
    why: str,
    say: Say,
    meant: Meant = NOTHING,
    wait_s: float = 0,
) -> list[Manifest]:
    """Back up each kind in turn. One that fails keeps no other from being tried.

    Raises :class:`SomeFailedError` that says which failed, and why; also when one is here and could not be sent off
    site.
    """
    made: list[Manifest] = []
    failed: list[str] = []
    for kind in kinds:
        try:
            with writing(settings, f"backup of kind {kind}", utc_now(), wait_s) as found:
                with outcomes.recorded(settings.backup_dir, kind):
                    made += _of_kind(settings, found, kind, why, say, meant=meant)
                if kind in offsite_content.SENT:
                    offsite.sync(settings, found, say)
            if kind == "objects":
                offsite.sync_objects(settings, say)
        except BackupError as error:
            failed.append(f"{kind}: {error}")
    if failed:
        done = f"\nThese were made: {', '.join(each.id for each in made)}" if made else ""
        raise SomeFailedError("\n".join(failed) + done, made)
    return made


def _of_kind(
    settings: Settings, found: Store, kind: Kind, why: str, say: Say, *, meant: Meant
) -> list[Manifest]:
    if kind == "base":
        return _base(settings, found, why, say, meant)
    with _begun(settings, found, kind, why) as begun:
        if kind == "database":
            last = found.newest("database")
            expected = 2 * last.size if last else 0
            return [begun.finish(database=dumping.save(settings, begun.folder, expected, say))]
        if kind == "redis":
            assert settings.redis is not None  # checked by wanted()
            return [begun.finish(redis=redis_copy.save(settings.redis, begun.folder, say))]
        return [_objects(settings, found, begun, say, accept=meant.accept_deletions)]


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """A backup that is being made."""

    settings: Settings
    store: Store
    kind: Kind
    why: str
    id: str
    started_at: datetime
    folder: Path

    def finish(self, **part: msgspec.Struct) -> Manifest:
        """``part``: what this kind adds to the manifest."""
        now = utc_now()
        manifest = Manifest(
            id=self.id,
            kind=self.kind,
            site=self.settings.site,
            started_at=self.started_at,
            finished_at=now,
            duration_s=round((now - self.started_at).total_seconds(), 3),
            why=self.why,
            release=self.settings.release,
            tool=__version__,
            files=store.described(self.folder),
        )
        manifest = msgspec.structs.replace(manifest, **part)
        self.store.finish(self.folder, manifest)
        return manifest


@contextmanager
def _begun(
    settings: Settings, found: Store, kind: Kind, why: str, started_at: datetime | None = None
) -> Generator[_Begun]:
    """What fails leaves nothing; what is killed leaves what the next run takes away."""
    at = started_at or utc_now()
    backup = new_id(at)
    folder = found.begin(kind, backup)
    try:
        yield _Begun(
            settings=settings, store=found, kind=kind, why=why, id=backup, started_at=at, folder=folder
        )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BackupError(f"cannot write the backup, which is not kept: {error}") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _base(settings: Settings, found: Store, why: str, say: Say, meant: Meant) -> list[Manifest]:
    made: list[Manifest] = []
    at = utc_now()
    for base in pgbackrest.back_up(settings, at, say, new_cluster=meant.new_cluster):
        with _begun(settings, found, "base", why, at) as begun:
            made.append(begun.finish(base=base))
    return made


def _objects(settings: Settings, found: Store, begun: _Begun, say: Say, *, accept: bool) -> Manifest:
    assert settings.objects is not None  # checked by wanted()
    bucket = buckets.S3Bucket(settings.objects)
    last = found.newest("objects")
    known = objects.read_index(found.path(last) / objects.INDEX) if last else {}
    keep = timedelta(days=settings.keep_days)
    decided = objects.plan(known, bucket.listed(), now=utc_now(), keep=keep, accept=accept)
    size = sum(each.size for each in decided.fetch)
    need_room(settings.backup_dir, size, "The copy of the objects")
    say(f"fetching {len(decided.fetch)} objects, {size / (1 << 20):.0f} MiB")
    if decided.held:
        say(held_back(len(decided.vanished)))
    fetched = objects.fetch(bucket, decided.fetch, settings.backup_dir / objects.CONTENT)
    index = objects.after(decided, fetched, utc_now())
    objects.write_index(begun.folder / objects.INDEX, index)
    return begun.finish(objects=objects.figures(settings.objects.bucket, decided, fetched, index))


def held_back(count: int) -> str:
    """What to say when the guard holds objects. Pure."""
    return (
        f"{count} objects vanished from the bucket since the last pass, more than {objects.GUARDED_SHARE:.0%}: they "
        "are kept as if they were there. If that was meant: remotegpu backups run --kind objects --accept-deletions"
    )


def put_objects_back(settings: Settings, backup: str | None, say: Say) -> list[str]:
    """The keys that the bucket did not have as the backup has them. Raises :class:`BackupError`."""
    if settings.objects is None:
        raise UsageError("found no S3_ENDPOINT in the environment, expected it to put objects back")
    with writing(settings, "putting objects back", utc_now()) as found:
        manifest = found.newest("objects") if backup is None else found.get(backup)
        if manifest is None or manifest.kind != "objects":
            raise UsageError(f"found {backup or 'no backup of objects'}, expected a backup of kind objects")
        say(f"comparing the bucket with {manifest.id}")
        index = objects.read_index(found.path(manifest) / objects.INDEX)
        content = settings.backup_dir / objects.CONTENT
        return objects.put_back(buckets.S3Bucket(settings.objects), index, content)
