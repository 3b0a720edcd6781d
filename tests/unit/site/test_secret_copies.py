"""Each service gets its own secrets, and nothing of anybody else's."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remotegpu.kit.certificates import Pair
from remotegpu.site import secret_copies, secrets
from remotegpu.site.bundle.topology import UIDS
from remotegpu.site.config.model import S3, Backup, Components, Config, Release, Site

CONFIG = Config(site=Site(name="acme", domain="gpu.example.com"), release=Release(version="v1.0.0"))
DATABASE = Pair("CERTIFICATE", "KEY")


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    secrets.ensure(tmp_path)
    return tmp_path


def decide(originals: Path, config: Config = CONFIG) -> secret_copies.Copies:
    return secret_copies.decide(config, lambda name: secrets.read(originals, name), "CA", DATABASE)


def test_every_secret_reaches_somebody(originals: Path) -> None:
    everything = "\n".join(text for found in decide(originals).values() for text in found.values())
    for secret in secrets.CATALOGUE:
        value = secrets.read(originals, secret.name)[0]
        is_idle_role = secret.name == "db_password_b"
        is_hashed = hashlib.sha256(value.encode()).hexdigest() in everything
        assert (value in everything or is_hashed) != is_idle_role, secret.name


def test_only_migrations_may_change_tables(originals: Path) -> None:
    owner = secrets.read(originals, "db_owner_password")[0]
    readers = {service for service, found in decide(originals).items() if owner in found.values()}
    assert readers == {"migrate"}


def test_nginx_and_the_console_get_none(originals: Path) -> None:
    assert not {"nginx", "frontend"} & set(decide(originals))


def test_the_password_is_that_of_the_role_in_use(originals: Path) -> None:
    secrets.write(originals, "db_user", ["remotegpu_app_b"])
    found = decide(originals)["backend"]
    assert found["db_user"] == "remotegpu_app_b"
    assert found["db_password"] == secrets.read(originals, "db_password_b")[0]


def test_while_a_password_changes_both_are_accepted_and_the_new_one_is_used(originals: Path) -> None:
    old = secrets.read(originals, "redis_password")[0]
    secrets.write(originals, "redis_password", ["new" * 20, old])
    found = decide(originals)
    assert found["backend"]["redis_password"] == "new" * 20
    for value in ("new" * 20, old):
        assert hashlib.sha256(value.encode()).hexdigest() in found["redis"]["users.acl"]
        assert value not in found["redis"]["users.acl"]


def test_what_archives_knows_one_encryption_key_and_what_restores_knows_all(originals: Path) -> None:
    lines = [
        "new repository=0123456789ab",
        "next repository=ba9876543210",
        "old until=2026-03-08T00:00:00+00:00",
    ]
    secrets.write(originals, "backup_cipher_key", lines)
    found = decide(originals)
    archiving = found["postgresql"]["pgbackrest.conf"]
    assert archiving == (
        "[global]\nrepo1-cipher-pass=new\n[remotegpu]\nrepo1-path=/backups/pgbackrest/0123456789ab\n"
    )
    assert found["backup"]["pgbackrest.conf"] == archiving
    assert not any(name.startswith("restore") for name in found["postgresql"])
    restoring = found["backup"]["restore/pgbackrest.conf"]
    assert "repo1-cipher-pass=new\nrepo2-cipher-pass=old\nrepo2-cipher-type=aes-256-cbc\n" in restoring
    assert "repo2-path=/backups/pgbackrest\n" in restoring
    assert "next" not in restoring
    assert "repo1-cipher-pass=next\n" in found["backup"]["next/pgbackrest.conf"]
    retired = found["backup"]["restore/retired.json"]
    assert "old" not in retired
    assert '"until":"2026-03-08T00:00:00Z"' in retired.replace("+00:00", "Z")


def test_keys_of_foreign_stores_come_from_their_files(originals: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("THEIRS\n")
    (tmp_path / "s").write_text("SECRET\n")
    store = S3(
        endpoint="https://s3.example.com",
        bucket="gpu",
        access_key_file=str(tmp_path / "a"),
        secret_key_file=str(tmp_path / "s"),
    )
    config = Config(
        site=CONFIG.site,
        release=CONFIG.release,
        components=Components(rustfs=False),
        object_store=store,
        backup=Backup(offsite=store),
    )
    found = decide(originals, config)
    assert "rustfs" not in found
    assert found["backend"]["s3_access_key"] == "THEIRS"
    assert found["backup"]["offsite_secret_key"] == "SECRET"
    assert "repo2-s3-key-secret=SECRET" in found["postgresql"]["pgbackrest.conf"]
    secrets.write(
        originals, "backup_cipher_key", ["new repository=ab", "old until=2026-03-08T00:00:00+00:00"]
    )
    restoring = decide(originals, config)["backup"]["restore/pgbackrest.conf"]
    paths = [line for line in restoring.splitlines() if "-path=" in line]
    assert paths == [
        "repo1-path=/backups/pgbackrest/ab",
        "repo2-path=/pgbackrest/ab",
        "repo3-path=/backups/pgbackrest",
        "repo4-path=/pgbackrest",
    ]
    assert {"repo4-type=s3", "repo4-s3-bucket=gpu", "repo4-cipher-pass=old"} <= set(restoring.splitlines())
    assert "repo2-type=s3" not in restoring, "the bundle has it"


@pytest.mark.root
def test_files_belong_to_the_user_of_their_container(originals: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    copies = decide(originals)
    changed = secret_copies.write(site, copies, UIDS)
    assert f"backend/{secrets.CATALOGUE[2].name}" in changed
    assert "backup/restore/pgbackrest.conf" in changed
    assert secret_copies.write(site, copies, UIDS) == []
    for service, wanted in copies.items():
        folder = site / "secrets" / service
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert found == set(wanted)
        for path in (folder, *folder.rglob("*")):
            assert path.stat().st_uid == UIDS[service]
            assert path.stat().st_mode & 0o377 == 0o100 * path.is_dir()
    (site / "secrets/redis/left_over").write_text("x")
    (site / "secrets/backup/next").mkdir()
    (site / "secrets/backup/next/pgbackrest.conf").write_text("x")
    secret_copies.write(site, copies, UIDS)
    assert not (site / "secrets/redis/left_over").exists()
    assert not (site / "secrets/backup/next").exists()


def test_a_certificate_is_made_anew_before_it_ends(tmp_path: Path) -> None:
    from remotegpu.site import authority

    secrets.ensure(tmp_path)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    signer = authority.ensure(tmp_path, "acme", start)
    first = authority.server_pair(tmp_path, signer, "postgresql", start)
    assert authority.server_pair(tmp_path, signer, "postgresql", datetime(2026, 11, 30, tzinfo=UTC)) == first
    assert authority.server_pair(tmp_path, signer, "postgresql", datetime(2026, 12, 15, tzinfo=UTC)) != first
    assert authority.ensure(tmp_path, "acme", datetime(2027, 1, 1, tzinfo=UTC)) == signer
