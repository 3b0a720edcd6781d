"""The record of releases: what was brought into service, when, from which images, with which configuration.

``releases/<id>/release.json`` with the bundle beside it; ``releases/current`` names the one that serves. A record is
written once and never changed.
"""

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from remotegpu.kit import files
from remotegpu.site.bundle import writing
from remotegpu.site.bundle.render import BundleFile
from remotegpu.site.bundle.topology import Slot

DIRECTORY = "releases"
CURRENT = "current"


class Release(msgspec.Struct, kw_only=True, frozen=True):
    """``images``: by program (backend, frontend, postgresql), the reference; ``image_ids``: what it meant.

    ``schema``: the database's revision after the deploy. ``config_hash``: SHA-256 of the bundle.
    """

    id: str
    version: str
    slot: Slot
    images: dict[str, str]
    image_ids: dict[str, str]
    config_hash: str
    schema: str
    git_revision: str
    deployed_at: datetime
    by: str
    why: str


class Releases:
    """The records in a site's directory."""

    def __init__(self, site: Path) -> None:
        self.directory = site / DIRECTORY

    def all(self) -> list[Release]:
        """Oldest first."""
        found = [path for path in self.directory.glob("*/release.json") if path.is_file()]
        return sorted((msgspec.json.decode(path.read_bytes(), type=Release) for path in found), key=_when)

    def current(self) -> Release | None:
        """The one that serves."""
        pointer = self.directory / CURRENT
        if not pointer.exists():
            return None
        path = self.directory / pointer.read_text(encoding="utf-8").strip() / "release.json"
        return msgspec.json.decode(path.read_bytes(), type=Release)

    def keep(self, release: Release, bundle: Mapping[str, BundleFile]) -> None:
        """Record it with its bundle. Durable when it returns."""
        folder = self.directory / release.id
        writing.write_files(folder / "bundle", bundle)
        files.write_private(folder / "release.json", msgspec.json.format(msgspec.json.encode(release)))

    def make_current(self, release: Release) -> None:
        files.write_private(self.directory / CURRENT, release.id + "\n", mode=0o644)

    def bundle(self, release: Release) -> dict[str, BundleFile]:
        """As it was rendered for it."""
        folder = self.directory / release.id / "bundle"
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return {
            str(path.relative_to(folder)): BundleFile(
                path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777
            )
            for path in paths
        }

    def forget(self, release: Release) -> None:
        shutil.rmtree(self.directory / release.id)


def _when(release: Release) -> datetime:
    return release.deployed_at
