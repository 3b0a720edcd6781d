"""A repository whose key was retired goes, here and off site; those that lie in its folder stay."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integration.site.test_offsite import Node, node
from remotegpu.site.backup_keys import Retired
from remotegpu.site.backups import retired
from remotegpu.site.backups.errors import BackupError

__all__ = ["node"]

FILES = (
    "archive/remotegpu/archive.info",
    "backup/remotegpu/backup.info",
    "ab/archive/remotegpu/archive.info",
)


def repositories(node: Node, tmp_path: Path) -> Retired:
    """The first key's, with another one in it, in both places."""
    here = tmp_path / "pgbackrest"
    for name in FILES:
        (here / name).parent.mkdir(parents=True)
        (here / name).write_text("noise")
        node.bucket.put(f"pgbackrest/{name}", here / name)
    node.bucket.put("postgresql/a-dump", here / FILES[0])
    return Retired(local=str(here), offsite="/pgbackrest", until=datetime.now(UTC))


def test_it_goes_in_both_places_and_what_lies_in_it_stays(node: Node, tmp_path: Path) -> None:
    old = repositories(node, tmp_path)
    retired.take_away(node.settings, old)
    assert [path.name for path in (tmp_path / "pgbackrest").iterdir()] == ["ab"]
    assert node.there() == {f"pgbackrest/{FILES[2]}", "postgresql/a-dump"}
    later = Retired(local=f"{old.local}/ab", offsite="/pgbackrest/ab", until=old.until)
    retired.take_away(node.settings, later)
    retired.take_away(node.settings, later)
    assert not (tmp_path / "pgbackrest/ab").exists()
    assert node.there() == {"postgresql/a-dump"}


def test_it_stays_here_while_the_bucket_cannot_be_reached(node: Node, tmp_path: Path) -> None:
    old = repositories(node, tmp_path)
    assert node.settings.offsite
    away = replace(node.settings.offsite.bucket, endpoint="http://127.0.0.1:1")
    settings = replace(node.settings, offsite=replace(node.settings.offsite, bucket=away))
    with pytest.raises(BackupError, match="the bucket at"):
        retired.take_away(settings, old)
    assert (tmp_path / "pgbackrest" / FILES[0]).exists()
