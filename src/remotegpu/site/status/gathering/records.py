"""What the site's own records say: who is at work, how the last change ended, which release serves and with what."""

from datetime import UTC, datetime
from pathlib import Path

from remotegpu.kit import file_lock, files
from remotegpu.site import lock
from remotegpu.site.bundle.render import render
from remotegpu.site.deploying.decisions import config_hash
from remotegpu.site.journal import Journal, Run
from remotegpu.site.place import Place
from remotegpu.site.releases import Release, Releases
from remotegpu.site.status.facts import Holder


def holder(directory: Path) -> Holder | None:
    """Who changes the site now; None when nobody does, whatever the file still says."""
    path = directory / lock.FILE_NAME
    if not file_lock.is_held(path):
        return None
    said = files.read_json(path) or {}
    pid = said.get("pid")
    return Holder(
        who=str(said.get("who", "")),
        why=str(said.get("why", "")),
        since=_moment(str(said.get("since", ""))),
        pid=pid if isinstance(pid, int) else None,
    )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def last_run(directory: Path) -> Run | None:
    runs = Journal(directory).runs()
    return runs[-1] if runs else None


def config_changes(place: Place, releases: Releases, release: Release | None) -> tuple[str, ...]:
    """Files that would be rendered otherwise than they were for ``release``. ``place``: with its version."""
    if release is None:
        return ()
    wanted = render(place.config)
    if config_hash(wanted) == release.config_hash:
        return ()
    recorded = releases.bundle(release)
    return tuple(path for path in sorted({*wanted, *recorded}) if wanted.get(path) != recorded.get(path))


def edited(place: Place, releases: Releases, release: Release | None) -> tuple[str, ...]:
    """Files that are not what was rendered for ``release``, or not there."""
    if release is None:
        return ()
    recorded = releases.bundle(release)
    return tuple(path for path, file in recorded.items() if _text(place.directory / path) != file.text)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
