"""Everything that is off site, brought back to an empty machine: the folder of backups as the lost node had it.

Whatever ends it, the same command goes on: what is here and whole is not fetched again.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from remotegpu.kit import files
from remotegpu.site import kept
from remotegpu.site.backups import manifests, objects, store
from remotegpu.site.backups import offsite_content as content
from remotegpu.site.backups.buckets import Listed, S3Bucket
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import FILE_NAME
from remotegpu.site.backups.store import FOLDERS
from remotegpu.site.backups.work import Say, need_room

age: Any = pyrage  # Any: it ships no types
FETCHERS = 4
TEMPORARY = ".fetching"
Own = Callable[[Path], None]
"""Gives a file or folder to the account of the ``backup`` container."""


@dataclass(frozen=True)
class Fetched:
    """``backups``: ids of those that are here now and whole. ``problems``: one sentence each; empty when all came.

    ``configuration``, ``secrets``: path of the newest copy of each; empty where there is none off site.
    """

    backups: tuple[str, ...]
    contents: int
    configuration: str
    secrets: str
    problems: tuple[str, ...]


class Fetching:
    """``folder``: of backups, here. ``identities``: private age keys."""

    def __init__(self, bucket: S3Bucket, identities: Sequence[Any], folder: Path, own: Own) -> None:
        self._bucket, self._identities, self._folder, self._own = bucket, identities, folder, own

    def all(self, say: Say) -> Fetched:
        """The keys to everything else first, then each content, then backups, manifests last.

        Raises :class:`BackupError` where the bucket does not answer, the key is the wrong one, or there is no room.
        """
        listed = {each.key: each for each in self._bucket.listed() if content.is_ours(each.key)}
        if not listed:
            raise BackupError("found nothing of a site's in the bucket, expected what `backup.offsite` sends")
        wanted = [each for each in listed.values() if not self._is_here(each.key)]
        self._directory(self._folder)
        need_room(self._folder, sum(each.size for each in wanted), "What is off site")
        copies = [each for each in wanted if each.key.startswith(tuple(f"{one}/" for one in kept.FOLDERS))]
        contents = [each for each in wanted if content.checksum_of(each.key)]
        say(f"fetching {len(copies)} copies of configuration and secrets")
        for each in copies:
            self._fetch(each.key)
        say(f"fetching {len(contents)} contents of objects")
        problems = self._contents(contents)
        backups, damaged = self._backups([key for key in listed if not content.checksum_of(key)], say)
        return Fetched(
            backups=tuple(backups),
            contents=sum(1 for key in listed if content.checksum_of(key) and self._is_here(key)),
            configuration=self._newest(kept.CONFIGURATION),
            secrets=self._newest(kept.SECRETS),
            problems=(*problems, *damaged),
        )

    def _is_here(self, key: str) -> bool:
        """Files are put in their places when they are whole."""
        return (self._folder / content.path_of(key)).is_file()

    def _newest(self, folder: str) -> str:
        return max(map(str, (self._folder / folder).glob("[0-9]*")), default="")

    def _contents(self, wanted: Iterable[Listed]) -> list[str]:
        with ThreadPoolExecutor(FETCHERS) as pool:
            running = [pool.submit(self._content, each.key) for each in wanted]
            return [problem for each in running if (problem := each.result())]

    def _content(self, key: str) -> str | None:
        checksum = content.checksum_of(key)
        assert checksum  # chosen by it
        path = self._fetch(key)
        problem = objects.content_problem(path, checksum)
        if problem:
            path.unlink()
        return problem

    def _backups(self, keys: Sequence[str], say: Say) -> tuple[list[str], list[str]]:
        """Ids of those that are whole here, and what is wrong with others. What was sent in part is left out."""
        whole: list[str] = []
        problems: list[str] = []
        for kind in content.ALL:
            for backup in content.whole(keys, kind):
                say(f"fetching {backup} ({kind})")
                found = self._backup(f"{FOLDERS[kind]}/{backup}/", keys)
                whole += [] if found else [backup]
                problems += found
        return whole, problems

    def _backup(self, prefix: str, keys: Iterable[str]) -> list[str]:
        """Returns what is wrong with it; one that is not as it was made does not stay."""
        folder, manifest_key = self._folder / prefix, content.key_of(f"{prefix}{FILE_NAME}")
        if not self._is_here(manifest_key):
            for key in keys:
                if key.startswith(prefix) and key != manifest_key and not self._is_here(key):
                    self._fetch(key)
            path = self._fetch(manifest_key, folder / f".{FILE_NAME}")
            manifest = manifests.read(path)
            damage = [f"{path} cannot be read"] if manifest is None else store.damage(folder, manifest.files)
            if damage:
                shutil.rmtree(folder)
                return damage
            path.replace(folder / FILE_NAME)
        return self._lacking(folder / objects.INDEX)

    def _lacking(self, index: Path) -> list[str]:
        """Of the contents that an index names, those that are not here."""
        checksums = {entry.sha256 for entry in objects.read_index(index).values()}
        paths = [objects.content_path(self._folder / objects.CONTENT, each) for each in sorted(checksums)]
        return [
            f"{path}, which {index.parent.name} names, was not off site"
            for path in paths
            if not path.is_file()
        ]

    def _fetch(self, key: str, target: Path | None = None) -> Path:
        """Raises :class:`BackupError`."""
        target = target or self._folder / content.path_of(key)
        self._directory(target.parent)
        sealed, opened = (target.with_name(f"{TEMPORARY}-{target.name}{end}") for end in (".age", ""))
        try:
            self._bucket.fetch(key, sealed)
            if content.path_of(key) == key:
                sealed.replace(opened)
            else:
                decrypt(sealed, opened, self._identities)
            store.sync(opened)
            self._own(opened)
            opened.replace(target)
        except OSError as error:
            raise BackupError(f"{key} cannot be brought to {target}: {error}") from error
        finally:
            sealed.unlink(missing_ok=True)
            opened.unlink(missing_ok=True)
        return target

    def _directory(self, path: Path) -> None:
        """And those above it, up to the folder of backups."""
        missing = [each for each in (path, *path.parents) if not each.exists()]
        for each in reversed(missing):
            files.make_directory(each)
            if each == self._folder or self._folder in each.parents:
                self._own(each)


def decrypt(source: Path, target: Path, identities: Sequence[Any]) -> None:
    """Raises :class:`BackupError`."""
    try:
        age.decrypt_file(str(source), str(target), list(identities))
    except age.DecryptError as error:
        raise BackupError(f"{source.name} cannot be opened with this key: {error}") from error
