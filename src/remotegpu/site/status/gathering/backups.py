"""What lies in the folder of backups, and how far the archive of WAL is behind."""

import os
from collections.abc import Sequence

import msgspec

from remotegpu.site import runner
from remotegpu.site.backups import drill, outcomes
from remotegpu.site.backups.manifests import KINDS, Kind, Manifest
from remotegpu.site.backups.store import Store
from remotegpu.site.backups.wal import WalStatus
from remotegpu.site.commands.compose import Compose
from remotegpu.site.config.model import Config
from remotegpu.site.place import Place
from remotegpu.site.releases import Release
from remotegpu.site.status.facts import Backups, Unknown
from remotegpu.site.status.judging.wording import end_of

PROGRAM = "/opt/remotegpu/bin/remotegpu"
"""In the image of the ``backup`` service."""
PATIENCE_S = 30.0


def look(place: Place, releases: Sequence[Release]) -> Backups | Unknown:
    """``releases``: oldest first; since the first of them there is something to back up."""
    root = place.directory / "backups"
    if not root.is_dir():
        return Unknown(f"there is no {root}", "Bring a release: remotegpu site deploy")
    if not os.access(root, os.R_OK | os.X_OK):
        return Unknown(f"{root} may not be read by uid {os.geteuid()}", "Run it as root (sudo).")
    store, kinds = Store(root), kinds_of(place.config)
    newest: dict[Kind, Manifest] = {kind: manifest for kind in kinds if (manifest := store.newest(kind))}
    return Backups(
        kinds=kinds,
        since=releases[0].deployed_at if releases else None,
        newest=newest,
        outcomes={job: outcomes.read(root, job) for job in (*kinds, "drill", *_sending(place.config, kinds))},
        drills=tuple(drill.results(root)),
    )


def kinds_of(config: Config) -> tuple[Kind, ...]:
    """Those that a site of this configuration makes: objects where a bucket is its own or somebody's."""
    has_objects = config.components.rustfs or config.object_store is not None
    return tuple(kind for kind in KINDS if kind != "objects" or has_objects)


def _sending(config: Config, kinds: Sequence[Kind]) -> tuple[str, ...]:
    """Jobs that send backups elsewhere, where there is an elsewhere."""
    if config.backup.offsite is None:
        return ()
    return (outcomes.OFFSITE, outcomes.OFFSITE_OBJECTS) if "objects" in kinds else (outcomes.OFFSITE,)


def archive(place: Place) -> WalStatus | Unknown:
    """Asks the ``backup`` container."""
    command = Compose(place.directory).execute(
        "backup", PROGRAM, "backups", "wal-status", "--json", timeout_s=PATIENCE_S
    )
    done = runner.attempt(command)
    return read_archive(done.output)


def read_archive(output: str) -> WalStatus | Unknown:
    """From what ``remotegpu backups wal-status --json`` prints, warnings before it left out. Pure."""
    start = output.find("{")
    try:
        return msgspec.json.decode(output[max(start, 0) :].encode(), type=WalStatus)
    except msgspec.MsgspecError:
        said = end_of(output) or "no answer"
        return Unknown(
            f"the backup container does not say: {said}",
            "See whether it runs: remotegpu site diagnose database",
        )
