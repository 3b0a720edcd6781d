"""The folder of backups: ``postgresql/``, ``base/``, ``redis/``, ``objects/runs/``, one folder per backup in each.

A backup is made under a name that says it is not finished, made durable, and renamed: it is there whole or not at all.
"""

import hashlib
import os
import shutil
from pathlib import Path

from remotegpu.kit import files
from remotegpu.site.backups import manifests
from remotegpu.site.backups.errors import UsageError
from remotegpu.site.backups.manifests import KINDS, File, Kind, Manifest

FOLDERS: dict[Kind, str] = {
    "database": "postgresql",
    "base": "base",
    "redis": "redis",
    "objects": "objects/runs",
}
UNFINISHED = ".unfinished"
CHUNK = 1 << 20


class Store:
    """The backups in ``root``. Writers hold its lock, see :mod:`.work`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, kind: Kind) -> Path:
        return self.root / FOLDERS[kind]

    def begin(self, kind: Kind, backup: str) -> Path:
        """An empty folder to put the files of a new backup into."""
        path = self.folder(kind) / f"{backup}{UNFINISHED}"
        files.make_directory(path)
        return path

    def finish(self, unfinished: Path, manifest: Manifest) -> Path:
        """Make durable what is in ``unfinished``, and a backup of it."""
        for path in unfinished.rglob("*"):
            sync(path)
        manifests.write(unfinished / manifests.FILE_NAME, manifest)
        sync(unfinished)
        final = self.folder(manifest.kind) / manifest.id
        unfinished.rename(final)
        sync(final.parent)
        return final

    def all(self, kind: Kind | None = None) -> list[Manifest]:
        """Oldest first."""
        kinds = KINDS if kind is None else (kind,)
        paths = (path for each in kinds for path in self.folder(each).glob(f"*/{manifests.FILE_NAME}"))
        found = (manifests.read(path) for path in paths if UNFINISHED not in path.parent.name)
        return sorted((manifest for manifest in found if manifest is not None), key=lambda each: each.id)

    def newest(self, kind: Kind) -> Manifest | None:
        found = self.all(kind)
        return found[-1] if found else None

    def get(self, backup: str) -> Manifest:
        """Raises :class:`UsageError` where there is no such backup."""
        for manifest in self.all():
            if manifest.id == backup:
                return manifest
        raise UsageError(
            f"found no backup {backup!r}, expected one of those that remotegpu backups list shows"
        )

    def path(self, manifest: Manifest) -> Path:
        return self.folder(manifest.kind) / manifest.id

    def unfinished(self) -> list[Path]:
        """What crashes left: folders without a manifest that can be read."""
        return [
            path
            for kind in KINDS
            if self.folder(kind).is_dir()
            for path in sorted(self.folder(kind).iterdir())
            if path.is_dir()
            and (UNFINISHED in path.name or manifests.read(path / manifests.FILE_NAME) is None)
        ]

    def remove(self, path: Path) -> None:
        """Take a backup away, its manifest first: a crash in between leaves something that counts as unfinished."""
        (path / manifests.FILE_NAME).unlink(missing_ok=True)
        shutil.rmtree(path)


def described(folder: Path) -> tuple[File, ...]:
    """Every file below ``folder`` with its size and checksum."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        File(path=str(path.relative_to(folder)), size=path.stat().st_size, sha256=sha256(path))
        for path in paths
    )


def sha256(path: Path) -> str:
    """In hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def damage(folder: Path, wanted: tuple[File, ...]) -> list[str]:
    """What is wrong with the files of a backup, one sentence each."""
    problems: list[str] = []
    for file in wanted:
        path = folder / file.path
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif path.stat().st_size != file.size:
            problems.append(f"{path} has {path.stat().st_size} bytes, expected {file.size}")
        elif sha256(path) != file.sha256:
            problems.append(f"{path} has another checksum than when it was written")
    return problems


def sync(path: Path) -> None:
    """Make a file or folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
