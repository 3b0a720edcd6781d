"""Copying a bucket: only what changed, nothing lost by accident, and everything put back."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from remotegpu.site.backups import objects
from remotegpu.site.backups.buckets import Listed
from remotegpu.site.backups.objects import Entry

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEEP = timedelta(days=30)


class MemoryBucket:
    """An object store in memory; ``fetched`` counts."""

    def __init__(self, **content: bytes) -> None:
        self.content = dict(content)
        self.modified = dict.fromkeys(content, NOW)
        self.fetched: list[str] = []

    def listed(self) -> Iterator[Listed]:
        for key, body in self.content.items():
            tag = hashlib.md5(body).hexdigest()
            yield Listed(key=key, size=len(body), tag=tag, modified=self.modified[key])

    def fetch(self, key: str, target: Path) -> str:
        self.fetched.append(key)
        target.write_bytes(self.content[key])
        return hashlib.sha256(self.content[key]).hexdigest()

    def put(self, key: str, source: Path) -> None:
        self.content[key] = source.read_bytes()
        self.modified[key] = NOW


def one_pass(
    bucket: MemoryBucket,
    content: Path,
    known: dict[str, Entry],
    now: datetime = NOW,
    *,
    accept: bool = False,
) -> tuple[objects.Plan, dict[str, Entry]]:
    decided = objects.plan(known, bucket.listed(), now=now, keep=KEEP, accept=accept)
    index = objects.after(decided, objects.fetch(bucket, decided.fetch, content), now)
    return decided, {entry.key: entry for entry in index}


def many(count: int) -> MemoryBucket:
    return MemoryBucket(**{f"k{number:03}": b"%d" % number for number in range(count)})


def test_only_what_changed_is_fetched(tmp_path: Path) -> None:
    bucket = many(5)
    _, index = one_pass(bucket, tmp_path, {})
    assert len(bucket.fetched) == 5
    bucket.fetched.clear()
    bucket.content["k003"] = b"changed"
    bucket.content["new"] = b"new"
    bucket.modified["new"] = NOW
    _, index = one_pass(bucket, tmp_path, index)
    assert sorted(bucket.fetched) == ["k003", "new"]
    assert objects.content_path(tmp_path, index["k003"].sha256).read_bytes() == b"changed"


def test_what_vanished_stays_as_long_as_backups_are_kept(tmp_path: Path) -> None:
    bucket = many(50)
    _, index = one_pass(bucket, tmp_path, {})
    del bucket.content["k007"]
    decided, index = one_pass(bucket, tmp_path, index)
    assert not decided.held
    assert index["k007"].vanished_at == NOW
    _, index = one_pass(bucket, tmp_path, index, NOW + KEEP)
    assert "k007" in index
    decided, index = one_pass(bucket, tmp_path, index, NOW + KEEP + timedelta(seconds=1))
    assert [entry.key for entry in decided.removed] == ["k007"]
    assert "k007" not in index


def test_an_emptied_bucket_does_not_empty_its_backup(tmp_path: Path) -> None:
    bucket = many(50)
    _, index = one_pass(bucket, tmp_path, {})
    bucket.content.clear()
    for day in (0, 40, 80):
        decided, index = one_pass(bucket, tmp_path, index, NOW + timedelta(days=day))
        assert decided.held
        assert decided.removed == ()
        assert len(index) == 50
    decided, index = one_pass(bucket, tmp_path, index, NOW + timedelta(days=81), accept=True)
    assert not decided.held
    assert all(entry.vanished_at is not None for entry in index.values())
    assert len(index) == 50


def test_what_comes_back_is_there_again(tmp_path: Path) -> None:
    bucket = many(50)
    _, index = one_pass(bucket, tmp_path, {})
    body = bucket.content.pop("k001")
    _, index = one_pass(bucket, tmp_path, index)
    bucket.content["k001"] = body
    _, index = one_pass(bucket, tmp_path, index)
    assert index["k001"].vanished_at is None


def test_contents_that_no_index_names_are_found(tmp_path: Path) -> None:
    bucket = many(3)
    _, first = one_pass(bucket, tmp_path, {})
    bucket.content["k000"] = b"another"
    _, second = one_pass(bucket, tmp_path, first)
    assert objects.unreferenced(tmp_path, [first, second]) == []
    assert [path.read_bytes() for path in objects.unreferenced(tmp_path, [second])] == [b"0"]


def test_a_bucket_gets_back_what_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    bucket = many(5)
    _, index = one_pass(bucket, tmp_path, {})
    del bucket.content["k001"]
    bucket.content["k002"] = b"spoilt"
    bucket.content["later"] = b"later"
    bucket.modified["later"] = NOW
    assert objects.put_back(bucket, index, tmp_path) == ["k001", "k002"]
    assert bucket.content["k001"] == b"1"
    assert bucket.content["k002"] == b"2"
    assert bucket.content["later"] == b"later"


def test_an_index_reads_as_it_was_written(tmp_path: Path) -> None:
    bucket = many(3)
    _, index = one_pass(bucket, tmp_path, {})
    objects.write_index(tmp_path / objects.INDEX, index.values())
    assert objects.read_index(tmp_path / objects.INDEX) == index
    assert objects.read_index(tmp_path / "absent") == {}


def test_an_object_that_goes_while_it_is_fetched_is_left_out(tmp_path: Path) -> None:
    class Hasty(MemoryBucket):
        def fetch(self, key: str, target: Path) -> str:
            if key == "k001":
                raise FileNotFoundError(key)
            return super().fetch(key, target)

    _, index = one_pass(Hasty(k000=b"0", k001=b"1"), tmp_path, {})
    assert list(index) == ["k000"]
