"""A node is lost with everything on it. What is off site is enough for another one."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest

from stack.backups.bed import Bed
from stack.backups.conftest import running
from stack.conftest import Images

OBJECTS = 12


@pytest.fixture
def lost_site(images: Images, tmp_path: Path) -> Iterator[Bed]:
    """To lose."""
    yield from running(images, tmp_path, objects=True)


@pytest.fixture
def identity() -> "pyrage.x25519.Identity":
    return pyrage.x25519.Identity.generate()


def fill_bucket(site: Bed, body: Path) -> None:
    bucket = site.bucket("remotegpu")
    for number in range(OBJECTS):
        body.write_text(f"log of task {number}")
        bucket.put(f"tasks/{number}/log", body)


def back_up_off_site(site: Bed, identity: "pyrage.x25519.Identity") -> None:
    """And then a commit that only the archive has."""
    site.second_repository()
    site.start_backup(
        env={
            "OFFSITE_S3_ENDPOINT": "http://rustfs:9000",
            "OFFSITE_S3_BUCKET": "elsewhere",
            "OFFSITE_S3_ACCESS_KEY_FILE": "/run/secrets/s3_access_key",
            "OFFSITE_S3_SECRET_KEY_FILE": "/run/secrets/s3_secret_key",
            "OFFSITE_AGE_RECIPIENT": str(identity.to_public()),
        }
    )
    made = site.backups("run")["backups"]
    assert {each["kind"] for each in made} == {"database", "base", "redis", "objects"}
    assert {each["base"]["repository"] for each in made if each["kind"] == "base"} == {1, 2}
    site.psql("remotegpu", "INSERT INTO customers (name) VALUES ('the last one')")
    segment = site.psql("remotegpu", "SELECT pg_walfile_name(pg_current_wal_lsn())")
    site.psql("remotegpu", "SELECT pg_switch_wal()")
    site.until(lambda: any((site.root / "elsewhere").rglob(f"{segment}-*")), f"{segment} off the node")


def lose(site: Bed) -> None:
    """Database, backups, logs and artifacts."""
    for path in (site.root / "backups").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    bucket = site.bucket("remotegpu")
    bucket.remove([each.key for each in bucket.listed()])


def fetch(site: Bed, identity: "pyrage.x25519.Identity", keys: Path) -> None:
    for name, content in {
        "identity": str(identity),
        "access": "BACKUPTESTS",
        "secret": "secret-of-the-store",
    }.items():
        (keys / name).write_text(content)
    command = (sys.executable, "-m", "remotegpu.cli.main", "site", "fetch")
    where = (f"--endpoint=http://{site.address('rustfs')}:9000", "--bucket=elsewhere")
    files = (
        f"--access-key-file={keys}/access",
        f"--secret-key-file={keys}/secret",
        f"--identity={keys}/identity",
    )
    done = subprocess.run(
        [*command, *where, *files, f"--into={site.root}"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{site.root}/backups: 4 backups, {OBJECTS} contents of objects" in done.stdout


def test_a_site_comes_back_on_an_empty_node_from_what_is_off_site(
    lost_site: Bed, identity: "pyrage.x25519.Identity", tmp_path: Path
) -> None:
    site = lost_site
    fill_bucket(site, tmp_path / "body")
    back_up_off_site(site, identity)
    before = {each["id"] for each in site.backups("list")["backups"] if each["kind"] != "base"}
    lose(site)
    fetch(site, identity, tmp_path)
    site.replace_cluster()
    assert {each["id"] for each in site.backups("list")["backups"]} == before
    refused = site.backups("run", "--kind", "base", status=1)["error"]
    assert "the repository holds the backups of another cluster" in refused
    restored = site.backups("restore", "--into", "rescued", "--at", "newest", "--archived")["restored"]
    assert restored["rows"] > 2000
    site.backups("swap", "--into", "rescued")
    assert site.psql("remotegpu", "SELECT count(*) FROM customers WHERE name = 'the last one'") == "1"
    made = site.backups("run", "--kind", "base", "--new-cluster")["backups"]
    assert [each["base"]["repository"] for each in made] == [1, 2]
    assert len(site.backups("restore-objects")["put_back"]) == OBJECTS
    site.bucket("remotegpu").fetch("tasks/7/log", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "log of task 7"
    assert site.backups("verify")["ok"]
