"""What a lost node leaves in a bucket elsewhere, and a machine that gets it back with nothing but three keys."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest

from remotegpu.server.core import bucket as server_bucket
from remotegpu.server.settings import ObjectSettings
from remotegpu.site.backups import manifests, objects, offsite, outcomes, settings, store
from remotegpu.site.backups.buckets import S3Bucket
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import Kind, Manifest, new_id
from remotegpu.site.backups.settings import BucketSettings, OffsiteSettings, Settings
from remotegpu.site.backups.store import Store
from remotegpu.site.keeping import archive

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Node:
    """``root``: its folder of backups."""

    root: Path
    settings: Settings
    identity: "pyrage.x25519.Identity"
    said: list[str]

    @property
    def store(self) -> Store:
        return Store(self.root)

    @property
    def bucket(self) -> S3Bucket:
        assert self.settings.offsite
        return S3Bucket(self.settings.offsite.bucket)

    def there(self) -> set[str]:
        return {each.key for each in self.bucket.listed()}

    def backup(self, kind: Kind, contents: dict[str, bytes], days_old: float = 0) -> Manifest:
        at = NOW - timedelta(days=days_old)
        backup = new_id(at)
        folder = self.store.begin(kind, backup)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        manifest = Manifest(
            id=backup,
            kind=kind,
            site="acme",
            started_at=at,
            finished_at=at,
            duration_s=1,
            why="",
            release="v1.0.0",
            tool="0",
            files=store.described(folder),
        )
        self.store.finish(folder, manifest)
        return manifest

    def pass_over(self, bodies: dict[str, bytes], days_old: float = 0) -> Manifest:
        """A backup of objects, by key."""
        entries: list[objects.Entry] = []
        for key, body in bodies.items():
            (self.root / "body").write_bytes(body)
            checksum = store.sha256(self.root / "body")
            place = objects.content_path(self.root / objects.CONTENT, checksum)
            place.parent.mkdir(parents=True, exist_ok=True)
            (self.root / "body").replace(place)
            entries.append(objects.Entry(key=key, size=len(body), tag="", modified=NOW, sha256=checksum))
        index = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        return self.backup("objects", {objects.INDEX: index}, days_old)

    def copy(self, folder: str, name: str, content: bytes) -> None:
        (self.root / folder).mkdir(exist_ok=True)
        (self.root / folder / name).write_bytes(content)

    def send(self) -> list[str]:
        return offsite.sync(self.settings, self.store, self.said.append)

    def send_objects(self) -> list[str]:
        return offsite.sync_objects(self.settings, self.said.append)

    def fetch(self, into: Path, *, identity: str = "", status: int = 0) -> Any:  # Any: the command's own JSON
        """By the command line, on a machine that has nothing but the keys."""
        assert self.settings.offsite
        place = self.settings.offsite.bucket
        keys = {
            "identity": identity or str(self.identity),
            "access": place.access_key,
            "secret": place.secret_key,
        }
        for name, content in keys.items():
            (into / name).write_text(content)
        files = (
            f"--access-key-file={into / 'access'}",
            f"--secret-key-file={into / 'secret'}",
            f"--identity={into / 'identity'}",
        )
        where = (f"--endpoint={place.endpoint}", f"--bucket={place.bucket}", f"--region={place.region}")
        argv = ("-m", "remotegpu.cli.main", "site", "fetch", *where, *files, f"--into={into}", "--json")
        done = subprocess.run([sys.executable, *argv], check=False, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def node(tmp_path: Path, server_env: dict[str, str]) -> Node:
    place = BucketSettings(
        endpoint=server_env["S3_ENDPOINT"],
        bucket=server_env["S3_BUCKET"],
        region=server_env["S3_REGION"],
        access_key=server_env["S3_ACCESS_KEY"],
        secret_key=server_env["S3_SECRET_KEY"],
    )
    wanted = ObjectSettings(
        endpoint=place.endpoint,
        bucket=place.bucket,
        region=place.region,
        access_key=place.access_key,
        secret_key=place.secret_key,
        public_endpoint=place.endpoint,
    )
    asyncio.run(server_bucket.ensure(wanted))
    identity = pyrage.x25519.Identity.generate()
    root = tmp_path / "node/backups"
    root.mkdir(parents=True)
    loaded = settings.load({"BACKUP_DIR": str(root), "SCRATCH_DIR": str(tmp_path / "scratch")})
    sent_to = OffsiteSettings(bucket=place, recipient=str(identity.to_public()))
    return Node(root, replace(loaded, offsite=sent_to), identity, [])


def filled(node: Node) -> tuple[Manifest, Manifest]:
    """With a dump, a copy of Redis, two passes over objects, a copy of the configuration and of the secrets."""
    dump = node.backup("database", {"database.dump": b"the customers' data", "roles.sql": b"CREATE ROLE a;"})
    node.backup("redis", {"dump.rdb": b"tokens"})
    node.pass_over({"a": b"a log", "b": b"another log", "the same": b"a log"}, days_old=1)
    newest = node.pass_over({"a": b"a log", "c": b"a third log"})
    node.copy("config", "20260101T000000Z-abc.tar.gz", archive({"remotegpu.yaml": b"site: {}"}))
    sealed = pyrage.encrypt(archive({"backup_cipher_key": b"the key"}), [node.identity.to_public()])
    node.copy("secrets", "20260101T000000Z-abc.tar.gz.age", sealed)
    return dump, newest


def tree(root: Path) -> dict[str, bytes]:
    """What belongs to backups, by path."""
    folders = ("config", "secrets", "postgresql", "redis", "objects")
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file()
    }


def test_a_machine_with_three_keys_gets_back_what_the_lost_node_had(node: Node, tmp_path: Path) -> None:
    filled(node)
    node.send()
    node.send_objects()
    before = tree(node.root)
    sent = node.there()
    assert all(key.endswith(".age") for key in sent)
    assert sum(key.startswith("objects/content/") for key in sent) == 3, "each content once"
    node.root.rename(node.root.with_name("lost"))
    (tmp_path / "new").mkdir()
    fetched = node.fetch(tmp_path / "new")
    assert fetched["ok"]
    assert tree(tmp_path / "new/backups") == before
    assert {each.id for each in Store(tmp_path / "new/backups").all()} == set(fetched["fetched"]["backups"])
    assert node.there() == sent, "the bucket is only read"
    argv = ("-m", "remotegpu.cli.main", "site", "secrets", "open", str(fetched["fetched"]["secrets"]))
    subprocess.run(
        [sys.executable, *argv, f"--identity={tmp_path / 'new/identity'}", f"--into={tmp_path / 'new'}"],
        check=True,
    )
    assert (tmp_path / "new/secrets/backup_cipher_key").read_bytes() == b"the key"


def test_a_second_pass_sends_nothing_and_takes_nothing_away(node: Node) -> None:
    filled(node)
    assert len(node.send()) == 2
    assert len(node.send_objects()) == 2
    sent = {each.key: each.modified for each in node.bucket.listed()}
    assert node.send() + node.send_objects() == []
    assert {each.key: each.modified for each in node.bucket.listed()} == sent


def test_a_pass_with_a_damaged_content_does_not_count_as_there_and_the_others_are_sent(node: Node) -> None:
    _, newest = filled(node)
    bad = objects.content_path(node.root / objects.CONTENT, hashlib.sha256(b"another log").hexdigest())
    bad.write_bytes(b"something else")
    with pytest.raises(BackupError, match=r"1 contents were not sent: .* does not hold what its name says"):
        node.send_objects()
    runs = [key for key in node.there() if key.endswith("manifest.json.age")]
    assert runs == [f"objects/runs/{newest.id}/manifest.json.age"]
    assert not outcomes.read(node.root, outcomes.OFFSITE_OBJECTS).is_well
    bad.write_bytes(b"another log")
    assert len(node.send_objects()) == 1
    assert outcomes.read(node.root, outcomes.OFFSITE_OBJECTS).is_well


def test_a_content_that_went_missing_there_is_sent_again(node: Node) -> None:
    filled(node)
    node.send_objects()
    lost = next(
        key for key in node.there() if key.startswith("objects/content/") and _is_of(key, b"a third log")
    )
    node.bucket.remove([lost])
    assert node.send_objects() == []
    assert lost in node.there()


def _is_of(key: str, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() in key


def test_contents_go_with_the_last_index_that_names_them(node: Node) -> None:
    old = node.pass_over({"a": b"a log", "b": b"old"}, days_old=29.9)
    node.pass_over({"a": b"a log"})
    node.send_objects()
    assert len([key for key in node.there() if "content" in key]) == 2
    later = replace(node.settings, keep_days=29)
    node.store.remove(node.store.path(old))
    offsite.sync_objects(later, node.said.append)
    left = node.there()
    assert [key for key in left if old.id in key] == []
    assert [_is_of(key, b"a log") for key in left if "content" in key] == [True]


def test_a_node_that_replaced_a_lost_one_takes_nothing_of_it_away(node: Node) -> None:
    filled(node)
    node.send()
    node.send_objects()
    sent = node.there()
    shutil.rmtree(node.root)
    node.root.mkdir()
    node.pass_over({"new": b"what a new site has"})
    node.backup("database", {"database.dump": b"an empty database"})
    node.send()
    node.send_objects()
    assert sent < node.there()


def test_what_is_damaged_there_is_named_and_the_rest_comes_back(node: Node, tmp_path: Path) -> None:
    dump, newest = filled(node)
    node.send()
    node.send_objects()
    (tmp_path / "empty").write_bytes(pyrage.encrypt(b"other", [node.identity.to_public()]))
    node.bucket.put(f"postgresql/{dump.id}/database.dump.age", tmp_path / "empty")
    lost = next(key for key in node.there() if _is_of(key, b"a third log"))
    node.bucket.remove([lost])
    (tmp_path / "new").mkdir()
    fetched = node.fetch(tmp_path / "new", status=1)
    problems = "; ".join(fetched["fetched"]["problems"])
    assert f"{dump.id}/database.dump has 5 bytes, expected 19" in problems
    assert f"which {newest.id} names, was not off site" in problems
    assert dump.id not in {each.id for each in Store(tmp_path / "new/backups").all()}
    assert Store(tmp_path / "new/backups").newest("redis")


def test_one_that_was_cut_short_goes_on(node: Node, tmp_path: Path) -> None:
    filled(node)
    node.send()
    node.send_objects()
    (tmp_path / "new").mkdir()
    node.fetch(tmp_path / "new")
    here = Store(tmp_path / "new/backups")
    redis = here.newest("redis")
    assert redis
    (here.path(redis) / manifests.FILE_NAME).unlink()
    kept_at = (here.folder("database") / "x").parent.stat().st_mtime_ns
    assert node.fetch(tmp_path / "new")["ok"]
    assert here.newest("redis") == redis
    assert here.folder("database").stat().st_mtime_ns == kept_at


def test_another_key_opens_nothing_and_leaves_nothing(node: Node, tmp_path: Path) -> None:
    filled(node)
    node.send()
    (tmp_path / "new").mkdir()
    other = str(pyrage.x25519.Identity.generate())
    assert "cannot be opened with this key" in str(
        node.fetch(tmp_path / "new", identity=other, status=1)["error"]
    )
    left = [
        path
        for path in (tmp_path / "new/backups").rglob("*")
        if path.is_file() and "secrets" not in str(path)
    ]
    assert left == []


def test_a_bucket_of_somebody_else_is_said_to_be_one(node: Node, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "body").write_text("x")
    node.bucket.put("pgbackrest/archive/x", tmp_path / "body")
    assert "found nothing of a site's" in str(node.fetch(tmp_path / "new", status=1)["error"])
