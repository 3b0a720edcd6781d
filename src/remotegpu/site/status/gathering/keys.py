"""Ages of secrets and of the certificates inside the site. No secret is read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from remotegpu.kit import certificates as pem
from remotegpu.site import authority, backup_keys, secrets
from remotegpu.site.backup_keys import Retired
from remotegpu.site.deploying import retired_keys
from remotegpu.site.place import Place
from remotegpu.site.status.facts import Certificate, RetiredKey, SecretAge, Unknown

AS_ROOT = "Run it as root (sudo), or as whoever made the site."
INNER = (
    ("the database", "postgresql.crt", "A deployment renews it: remotegpu site deploy"),
    (
        "the site's authority",
        authority.CERTIFICATE,
        "Every client and host has to trust a new one: plan the change before it ends.",
    ),
)


def ages(place: Place) -> tuple[SecretAge, ...] | Unknown:
    """By the time at which each file was written: a secret is replaced as a whole."""
    folder = place.originals / secrets.DIRECTORY
    try:
        return tuple(
            SecretAge(
                name=secret.name,
                changed_at=_changed_at(folder / secret.name),
                due_after=timedelta(days=secret.due_days) if secret.due_days else None,
            )
            for secret in secrets.CATALOGUE
        )
    except PermissionError as error:
        return Unknown(f"{error.filename} may not be looked at", AS_ROOT)


def _changed_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def retired(place: Place) -> tuple[RetiredKey, ...] | Unknown:
    """From the list that the ``backup`` container goes by; empty before the first deployment."""
    path = place.directory / secrets.DIRECTORY / "backup" / backup_keys.RETIRED
    try:
        listed = msgspec.json.decode(path.read_bytes(), type=list[Retired])
        return tuple(
            RetiredKey(
                repository=each.local,
                until=each.until,
                is_there=retired_keys.is_there(place.directory, each.local),
            )
            for each in listed
        )
    except FileNotFoundError:
        return ()
    except PermissionError as error:
        return Unknown(f"{error.filename} may not be looked at", AS_ROOT)
    except msgspec.MsgspecError as error:
        return Unknown(f"{path} cannot be read: {error}", "Have it written anew: remotegpu site deploy")


def certificates(place: Place) -> tuple[Certificate, ...] | Unknown:
    """Those that no visitor sees, where they exist."""
    folder = place.originals / secrets.DIRECTORY
    try:
        return tuple(
            Certificate(
                purpose=purpose, ends_at=pem.ends_at(path.read_text(encoding="utf-8")), renewal=renewal
            )
            for purpose, name, renewal in INNER
            if (path := folder / name).exists()
        )
    except (PermissionError, ValueError) as error:
        return Unknown(f"the certificates in {folder} cannot be read: {error}", AS_ROOT)
