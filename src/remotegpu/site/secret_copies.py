"""What each service finds in ``/run/secrets``: its own files, owned by its own user, and nothing of anybody else.

``decide`` says what they hold; ``write`` puts them there.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from remotegpu.kit import files
from remotegpu.kit.certificates import Pair
from remotegpu.site import backup_keys, secrets
from remotegpu.site.bundle.topology import DATABASE, OWNER_ROLE
from remotegpu.site.config import channels
from remotegpu.site.config.model import S3, Config, Service

Read = Callable[[str], list[str]]
Copies = dict[Service, dict[str, str]]


def decide(config: Config, read: Read, authority: str, database: Pair) -> Copies:
    """Service -> path -> content. ``database``: the certificate that PostgreSQL shows. Pure but for ``read``."""
    copies: Copies = {}
    for secret in secrets.CATALOGUE:
        for reader in secret.readers:
            lines = read(secret.name)
            copies.setdefault(reader, {})[secret.name] = "\n".join(
                lines if secret.name == "jwt_secret" else lines[:1]
            )
    for program in secrets.PROGRAMS:
        copies[program] |= {
            "ca.pem": authority,
            "db_password": read(password_of(read("db_user")[0]))[0],
            "redis_password": read("redis_password")[0],
        }
    copies["postgresql"] |= {"server.crt": database.certificate, "server.key": database.key}
    copies["redis"]["users.acl"] = users_acl(read)
    continuous = _continuous_backups(config, read)
    copies["backup"] |= continuous
    copies["postgresql"][backup_keys.CONFIGURATION] = continuous[backup_keys.CONFIGURATION]
    _take_in_foreign_keys(config, copies)
    if not config.components.rustfs:
        del copies["rustfs"]
    return copies


PASSWORDS = {"postgres": "db_superuser_password", OWNER_ROLE: "db_owner_password"}


def password_of(role: str) -> str:
    """The secret with the password of a role of the database."""
    return PASSWORDS.get(role) or f"db_password_{role[-1]}"


def users_acl(read: Read) -> str:
    """Redis' users with the hashes of all passwords that are accepted. Nobody may do what only operators do."""

    def hashes(name: str) -> str:
        return " ".join(f"#{hashlib.sha256(line.encode()).hexdigest()}" for line in read(name))

    return (
        "user default off\n"
        f"user remotegpu on {hashes('redis_password')} ~* &* +@all -@dangerous +info +client|setname "
        "+client|setinfo +client|id\n"
        f"user backup on {hashes('redis_backup_password')} +bgsave +lastsave +info +ping +dbsize\n"
        f"user operator on {hashes('redis_operator_password')} +ping +info +acl\n"
    )


def _continuous_backups(config: Config, read: Read) -> dict[str, str]:
    """PostgreSQL only archives: it gets the key in use. What is restored may need retired ones."""
    keys = backup_keys.ring(read(backup_keys.NAME))
    store = _store(config.backup.offsite) if config.backup.offsite else None
    return backup_keys.configurations(keys, DATABASE, store)


def _store(offsite: S3) -> backup_keys.Store:
    return backup_keys.Store(
        host=offsite.endpoint.removeprefix("https://"),
        bucket=offsite.bucket,
        region=offsite.region,
        access_key=_file(offsite.access_key_file),
        secret_key=_file(offsite.secret_key_file),
    )


def _take_in_foreign_keys(config: Config, copies: Copies) -> None:
    """Keys of services that are not ours come from the files that the configuration names."""
    if config.object_store:
        for reader in (*secrets.PROGRAMS, "backup"):
            copies[reader]["s3_access_key"] = _file(config.object_store.access_key_file)
            copies[reader]["s3_secret_key"] = _file(config.object_store.secret_key_file)
    if config.backup.offsite:
        copies["backup"]["offsite_access_key"] = _file(config.backup.offsite.access_key_file)
        copies["backup"]["offsite_secret_key"] = _file(config.backup.offsite.secret_key_file)
    copies["backup"] |= {name: _file(path) for name, path in channels.copies(config)}


def _file(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").strip()


def fingerprint(copies: Copies, service: Service) -> str:
    """Changes with the secrets of ``service``, and tells nothing of them: they are random and long."""
    text = "\0".join(f"{name}\0{content}" for name, content in sorted(copies[service].items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_owned_directory(path: Path, uid: int) -> None:
    """Raises :class:`PermissionError` when this user may not give directories to another."""
    files.make_directory(path)
    os.chown(path, uid, uid)


def write(directory: Path, copies: Copies, uids: Mapping[Service, int]) -> list[str]:
    """Bring ``directory/secrets/<service>/`` up to ``copies``. Returns what changed, as ``service/name``.

    Raises :class:`PermissionError` when this user may not give files to another.
    """
    changed: list[str] = []
    for service, wanted in copies.items():
        folder = directory / secrets.DIRECTORY / service
        folders = {folder, *((folder / name).parent for name in wanted)}
        for each in sorted(folders):
            files.make_directory(each)
        for name, content in wanted.items():
            if put(folder / name, content, uids[service]):
                changed.append(f"{service}/{name}")
        _clear(folder, {folder / name for name in wanted} | folders)
        for each in folders:
            os.chown(each, uids[service], uids[service])
            each.chmod(0o500)
    return changed


def _clear(folder: Path, kept: set[Path]) -> None:
    """What is wanted no more, the deepest first."""
    for stale in sorted(set(folder.rglob("*")) - kept, reverse=True):
        stale.rmdir() if stale.is_dir() else stale.unlink()


def put(path: Path, content: str, uid: int) -> bool:
    """Whether it had to be written. The old content is readable until the new one is whole."""
    if path.exists() and path.read_text(encoding="utf-8") == content and path.stat().st_uid == uid:
        return False
    temporary = path.with_name(f".{path.name}.new")
    files.write_private(temporary, content, mode=secrets.ONLY_READ_BY_OWNER)
    os.chown(temporary, uid, uid)
    temporary.replace(path)
    return True
