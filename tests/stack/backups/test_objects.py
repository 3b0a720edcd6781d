"""The object store's backup and the second place, against a real S3 server."""

from pathlib import Path

import pyrage

from stack.backups.bed import Bed


def filled(site: Bed, tmp_path: Path, count: int) -> list[str]:
    bucket = site.bucket("remotegpu")
    names = [f"tasks/{number}/log 100%.txt" for number in range(count)]
    for name in names:
        (tmp_path / "body").write_text(f"content of {name}")
        bucket.put(name, tmp_path / "body")
    return names


def test_a_bucket_is_copied_once_survives_being_emptied_and_is_put_back(site: Bed, tmp_path: Path) -> None:
    names = filled(site, tmp_path, 30)
    bucket = site.bucket("remotegpu")
    (first,) = site.backups("run", "--kind", "objects")["backups"]
    assert (first["objects"]["objects"], first["objects"]["copied"]) == (30, 30)
    (second,) = site.backups("run", "--kind", "objects")["backups"]
    assert second["objects"]["copied"] == 0
    bucket.remove(names)
    (emptied,) = site.backups("run", "--kind", "objects")["backups"]
    assert (emptied["objects"]["vanished"], emptied["objects"]["held_back"]) == (30, 30)
    assert site.backups("verify", emptied["id"])["ok"]
    assert len(site.backups("restore-objects")["put_back"]) == 30
    assert sorted(each.key for each in bucket.listed()) == sorted(names)
    bucket.fetch(names[3], tmp_path / "back")
    assert (tmp_path / "back").read_text() == f"content of {names[3]}"
    bucket.remove(names)
    (meant,) = site.backups("run", "--kind", "objects", "--accept-deletions")["backups"]
    assert (meant["objects"]["vanished"], meant["objects"]["held_back"]) == (30, 0)
    site.backups("restore-objects", "--backup", first["id"])
    assert len(list(bucket.listed())) == 30


def test_dumps_are_sent_off_site_encrypted_and_made_up_for_after_an_outage(site: Bed, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    second = {
        "OFFSITE_S3_ENDPOINT": "http://rustfs:9000",
        "OFFSITE_S3_BUCKET": "elsewhere",
        "OFFSITE_S3_ACCESS_KEY_FILE": "/run/secrets/s3_access_key",
        "OFFSITE_S3_SECRET_KEY_FILE": "/run/secrets/s3_secret_key",
        "OFFSITE_AGE_RECIPIENT": str(identity.to_public()),
    }
    site.start_backup(env={**second, "OFFSITE_S3_ENDPOINT": "http://rustfs:9"})
    said = site.backups("run", "--kind", "database", status=1)
    assert "http://rustfs:9/elsewhere cannot be listed" in said["error"]
    assert len(said["backups"]) == 1, "it is here all the same"
    kept = [each["id"] for each in site.backups("list", "--kind", "database")["backups"]]
    site.start_backup(env=second)
    site.backups("run", "--kind", "redis")
    bucket = site.bucket("elsewhere")
    there = {each.key for each in bucket.listed()}
    assert {f"postgresql/{each}/manifest.json.age" for each in kept} <= there
    assert all(key.endswith(".age") for key in there)
    bucket.fetch(f"postgresql/{kept[-1]}/database.dump.age", tmp_path / "sent")
    local = site.root / f"backups/postgresql/{kept[-1]}/database.dump"
    assert pyrage.decrypt((tmp_path / "sent").read_bytes(), [identity]) == local.read_bytes()
    site.start_backup()
