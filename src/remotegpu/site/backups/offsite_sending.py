"""Sending one backup off site: each file encrypted, the manifest last. One in part does not count as there."""

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyrage

from remotegpu.site.backups import objects, store
from remotegpu.site.backups import offsite_content as content
from remotegpu.site.backups.buckets import S3Bucket
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import FILE_NAME, Manifest
from remotegpu.site.backups.store import Store

age: Any = pyrage  # Any: it ships no types
SENDERS = 4
SHOWN = 3


class Sender:
    """From the folder of backups into ``bucket``. ``temporary``: where what is on its way is encrypted, ours alone."""

    def __init__(self, found: Store, bucket: S3Bucket, recipient: str, temporary: Path) -> None:
        self._store, self._bucket, self._recipient = found, bucket, recipient
        self._temporary = temporary

    def put(self, path: str, number: int = 0) -> None:
        """``path``: in the folder of backups. ``number``: of those that are sent at the same time."""
        source, key = self._store.root / path, content.key_of(path)
        if path == key:  # it was sealed when it was kept
            self._bucket.put(key, source)
            return
        temporary = self._temporary.with_name(f"{self._temporary.name}-{number}")
        try:
            encrypt(source, temporary, self._recipient)
            self._bucket.put(key, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def backup(self, manifest: Manifest) -> None:
        folder = self._store.path(manifest).relative_to(self._store.root)
        for name in (*(file.path for file in manifest.files), FILE_NAME):
            self.put(f"{folder}/{name}")

    def contents(self, checksums: Collection[str]) -> None:
        """Of objects, several at a time. Raises :class:`BackupError` after all that can be sent were."""
        lanes = [list(checksums)[number::SENDERS] for number in range(SENDERS)]
        with ThreadPoolExecutor(SENDERS) as pool:
            running = [pool.submit(self._lane, lane, number) for number, lane in enumerate(lanes)]
            problems = [problem for each in running for problem in each.result()]
        if problems:
            raise BackupError(f"{len(problems)} contents were not sent: {'; '.join(problems[:SHOWN])}")

    def _lane(self, checksums: Iterable[str], number: int) -> list[str]:
        """One after the other. Returns what is wrong with those here; a bucket that refuses one ends it."""
        problems: list[str] = []
        for checksum in checksums:
            path = objects.content_path(Path(objects.CONTENT), checksum)
            problem = objects.content_problem(self._store.root / path, checksum)
            if problem:
                problems.append(problem)
            else:
                self.put(str(path), number)
        return problems


def encrypt(source: Path, target: Path, recipient: str) -> None:
    """For whoever has the private key of ``recipient``. Raises :class:`BackupError`."""
    try:
        age.encrypt_file(str(source), str(target), [age.x25519.Recipient.from_str(recipient)])
    except (OSError, age.EncryptError, age.RecipientError) as error:
        raise BackupError(f"{source} cannot be encrypted for its way off site: {error}") from error


def named(found: Store, manifest: Manifest) -> set[str] | None:
    """The checksums that the index of a backup of objects names; None when it is not what was written."""
    folder = found.path(manifest)
    if store.damage(folder, manifest.files):
        return None
    return {entry.sha256 for entry in objects.read_index(folder / objects.INDEX).values()}
