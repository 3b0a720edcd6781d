"""Copies of a site's configuration and of its secrets, made whenever one of them changes.

Secrets are kept apart from the data, encrypted with age to keys whose private halves are not on the node: who has the
backups has no secret, and who lost the node still has both.
"""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyrage

from remotegpu.kit import files
from remotegpu.site import kept, secrets
from remotegpu.site.bundle.render import BundleFile
from remotegpu.site.bundle.topology import UIDS
from remotegpu.site.place import Place

CONFIGURATION = f"backups/{kept.CONFIGURATION}"
SECRETS = f"backups/{kept.SECRETS}"
age: Any = pyrage  # Any: it ships no types


class KeepingError(Exception):
    """A copy cannot be read. The message says why."""


def keep(place: Place, bundle: Mapping[str, BundleFile], now: datetime) -> list[Path]:
    """Copies of what changed since the last ones. Returns the new files. Without age keys secrets are not copied."""
    whole = {path: file.text.encode() for path, file in bundle.items()}
    whole[place.config_path.name] = place.config_path.read_bytes()
    plain = archive(whole)
    made = [_put(place.directory / CONFIGURATION, plain, plain, now, ".tar.gz")]
    recipients = place.config.backup.age_recipients
    if recipients:
        plain = archive(originals(place.originals))
        known_by = plain + "".join(sorted(recipients)).encode()  # for another key another copy
        sealed = _sealed(plain, recipients)
        made.append(_put(place.directory / SECRETS, known_by, sealed, now, ".tar.gz.age"))
    return [path for path in made if path]


def originals(site: Path) -> dict[str, bytes]:
    """The secrets as the operator's directory holds them, by name."""
    directory = site / secrets.DIRECTORY
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()}


def archive(contents: Mapping[str, bytes]) -> bytes:
    """A gzipped tar, the same bytes for the same contents."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in sorted(contents):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(contents[name]), secrets.ONLY_READ_BY_OWNER
            tar.addfile(entry, io.BytesIO(contents[name]))
    return gzip.compress(stream.getvalue(), mtime=0)


def _sealed(content: bytes, recipients: Sequence[str]) -> bytes:
    return age.encrypt(content, [age.x25519.Recipient.from_str(one) for one in recipients])


def _put(folder: Path, known_by: bytes, content: bytes, now: datetime, suffix: str) -> Path | None:
    """Named after the time and a hash of ``known_by``, by which an equal one is known. None: there is one."""
    if not folder.exists():
        return None
    fingerprint = hashlib.sha256(known_by).hexdigest()[:12]
    present = sorted(path.name for path in folder.iterdir() if path.name.endswith(suffix))
    if present and present[-1].split("-")[1].startswith(fingerprint):
        return None
    target = folder / f"{now:%Y%m%dT%H%M%SZ}-{fingerprint}{suffix}"
    files.write_private(target, content)
    os.chown(target, UIDS["backup"], UIDS["backup"])
    for old in kept.superfluous([*present, target.name]):
        (folder / old).unlink()
    return target


def private_keys(text: str) -> list[Any]:  # Any: pyrage's identities
    """Those in the text of an age key file. Raises :class:`KeepingError`."""
    keys = [line.strip() for line in text.splitlines() if line.startswith("AGE-SECRET-KEY-")]
    if not keys:
        raise KeepingError("found no age key in the file, expected a line AGE-SECRET-KEY-...")
    try:
        return [age.x25519.Identity.from_str(key) for key in keys]
    except age.IdentityError as error:
        raise KeepingError(f"found an age key that is none: {error}") from error


def opened(path: Path, identities: str) -> dict[str, bytes]:
    """The secrets in a bundle. ``identities``: the text of an age key file. Raises :class:`KeepingError`."""
    try:
        plain = age.decrypt(path.read_bytes(), private_keys(identities))
    except age.DecryptError as error:
        raise KeepingError(f"{path} cannot be opened with this key: {error}") from error
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:gz") as tar:
        entries = ((entry.name, tar.extractfile(entry)) for entry in tar.getmembers())
        return {name: stream.read() for name, stream in entries if stream}


def put_back(contents: Mapping[str, bytes], site: Path) -> list[str]:
    """Write secrets to ``site/secrets``. Raises :class:`KeepingError` when others are there, and writes none then."""
    directory = site / secrets.DIRECTORY
    different = [
        name
        for name, content in contents.items()
        if (directory / name).exists() and (directory / name).read_bytes() != content
    ]
    if different:
        raise KeepingError(
            f"found other secrets in {directory} already ({', '.join(different)}), expected none; move them away first"
        )
    files.make_directory(directory)
    for name, content in contents.items():
        files.write_private(directory / name, content, mode=secrets.ONLY_READ_BY_OWNER)
    return sorted(contents)
