"""What leaves the site is encrypted, whole, and goes again when it was kept long enough, never before."""

from datetime import timedelta
from pathlib import Path

import pyrage
import pytest

from remotegpu.site import keeping, kept
from remotegpu.site.backups import offsite_content as content
from remotegpu.site.backups import offsite_sending
from remotegpu.site.backups.errors import BackupError
from unit.site.backups.manifest_examples import NOW, manifest

MONTH = timedelta(days=30)
ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


def keys(folder: str, days: int) -> list[str]:
    name = f"{NOW - timedelta(days=days):%Y%m%dT%H%M%SZ}-abc"
    return [f"{folder}/{name}/{file}.age" for file in ("database.dump", "manifest.json")]


def test_a_key_tells_its_file_and_back() -> None:
    for path in ("config/20260101.tar.gz", "postgresql/x/manifest.json", f"objects/content/11/{ONE}"):
        assert content.key_of(path) == f"{path}.age"
        assert content.path_of(content.key_of(path)) == path
        assert content.is_ours(content.key_of(path))
    bundle = "secrets/20260101.tar.gz.age"
    assert content.path_of(content.key_of(bundle)) == content.key_of(bundle) == bundle
    for foreign in (
        "pgbackrest/archive/x.age",
        "config/../../x.age",
        "config//x.age",
        "config/x",
        "config.age",
    ):
        assert not content.is_ours(foreign)
    assert content.checksum_of(content.content_key(ONE)) == ONE
    assert content.checksum_of(f"objects/content/99/{ONE}.age") is None
    assert (keeping.CONFIGURATION, keeping.SECRETS) == ("backups/config", "backups/secrets")


def test_a_backup_that_was_sent_in_part_is_sent_again() -> None:
    one, two, base = manifest("database", 2), manifest("database", 1), manifest("base", 1)
    whole = {f"postgresql/{one.id}/{file}.age" for file in ("database.dump", "manifest.json")}
    part = {f"postgresql/{two.id}/database.dump.age"}
    backups = [one, two, base]
    assert content.unsent(backups, whole | part, content.SENT, NOW, MONTH) == [two]
    assert content.unsent(backups, set(), content.SENT, NOW, MONTH) == [one, two]
    assert content.unsent([manifest("objects", 1)], set(), content.SENT, NOW, MONTH) == []


def test_what_would_be_removed_at_once_is_not_sent() -> None:
    old, older = manifest("database", 40), manifest("database", 50)
    assert content.unsent([old, older], set(), content.SENT, NOW, MONTH) == [old]
    new = manifest("database", 1)
    assert content.unsent([older, old, new], set(), content.SENT, NOW, MONTH) == [new]


def test_old_ones_go_and_the_newest_of_a_kind_stays() -> None:
    there = [*keys("postgresql", 50), *keys("postgresql", 40), *keys("redis", 60), "other/thing/else"]
    there += ["pgbackrest/backup/20200101T000000Z/manifest.json.age", content.content_key(ONE)]
    assert content.expired(there, NOW, MONTH) == keys("postgresql", 50)
    assert content.expired([], NOW, MONTH) == []


def test_one_that_is_there_in_part_does_not_push_out_the_last_whole_one() -> None:
    whole, part = keys("objects/runs", 60), keys("objects/runs", 40)[:1]
    assert content.expired([*whole, *part], NOW, MONTH) == part
    assert content.expired([*whole, *keys("objects/runs", 1)[:1]], NOW, MONTH) == []


def test_as_many_copies_of_configuration_and_secrets_stay_as_on_the_node() -> None:
    there = {f"{folder}/{number:03}.tar.gz.age" for folder in kept.FOLDERS for number in range(52)}
    gone = [
        "config/001.tar.gz.age",
        "config/000.tar.gz.age",
        "secrets/001.tar.gz.age",
        "secrets/000.tar.gz.age",
    ]
    assert content.expired_copies([*there, "config.age"]) == gone
    here = ["config/000.tar.gz", "config/052.tar.gz", "secrets/000.tar.gz.age", "secrets/001.tar.gz.age"]
    assert content.unsent_copies(here, there - set(gone)) == ["config/052.tar.gz"]


def test_contents_that_no_index_names_go() -> None:
    there = [content.manifest_key("objects", "a"), *map(content.content_key, (ONE, TWO, THREE))]
    assert content.unneeded(there, {"a": {ONE}, "not sent yet": {TWO}}) == [content.content_key(THREE)]


@pytest.mark.parametrize("known", [{}, {"a": {ONE}}, {"b": {ONE}}])
def test_while_an_index_there_is_not_known_here_no_content_goes(known: dict[str, set[str]]) -> None:
    """As on a node that replaced a lost one: the bucket holds what it never had."""
    runs = [content.manifest_key("objects", name) for name in ("a", "b")]
    assert content.unneeded([*runs, content.content_key(THREE)], known) == []
    assert content.unneeded([content.content_key(THREE)], known) == []


def test_only_the_private_key_opens_what_was_sent(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "dump").write_bytes(b"the customers' data" * 1000)
    offsite_sending.encrypt(tmp_path / "dump", tmp_path / "sent", str(identity.to_public()))
    sent = (tmp_path / "sent").read_bytes()
    assert b"customers" not in sent
    assert pyrage.decrypt(sent, [identity]) == (tmp_path / "dump").read_bytes()
    with pytest.raises(BackupError, match="cannot be encrypted"):
        offsite_sending.encrypt(tmp_path / "dump", tmp_path / "sent", "age1" + "q" * 58)
