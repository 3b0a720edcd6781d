"""A data directory is recognised, begun, or refused with one message that says what was found and what to do."""

import json
import os
import stat
from pathlib import Path

import pytest

from remotegpu.kit import files
from remotegpu.local import data_dir, secret_files
from remotegpu.local.account import Account, blocking_ancestor
from remotegpu.local.binaries import POSTGRES_MAJOR
from remotegpu.local.errors import DataDirError, DiskFullError, NewerDataDirError, UnwritableDataDirError
from remotegpu.local.layout import LAYOUT_VERSION, SYSTEM_DATA_DIR, Layout, default_data_dir


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_directory_is_private_whatever_the_umask(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "a" / "b")
    previous = os.umask(0)
    try:
        data_dir.open_directory(layout, None)
        secret_files.ensure(layout.secrets, database_exists=False)
    finally:
        os.umask(previous)
    assert _mode(layout.root) == _mode(layout.secrets) == _mode(layout.logs) == 0o700
    assert {_mode(path) for path in layout.secrets.iterdir()} == {0o600}


def test_root_lets_the_service_account_pass_and_nothing_more(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "d")
    data_dir.open_directory(layout, Account("nobody", 65_534, 65_534))
    assert _mode(layout.root) == 0o711
    assert _mode(layout.secrets) == 0o700


def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "d")
    data_dir.open_directory(layout, None)
    before = layout.marker.read_text()
    data_dir.open_directory(layout, None)
    assert layout.marker.read_text() == before


def test_a_strangers_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("\\begin{document}")
    with pytest.raises(DataDirError, match=r"not a RemoteGPU data directory.*thesis\.tex"):
        data_dir.open_directory(Layout(tmp_path), None)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_newer_layout_is_refused_with_both_versions(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.marker.write_text(json.dumps({"layout": LAYOUT_VERSION + 1, "version": "9.9.9"}))
    with pytest.raises(NewerDataDirError, match=r"RemoteGPU 9\.9\.9 \(layout 2\)"):
        data_dir.open_directory(layout, None)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableDataDirError, match="file"):
        data_dir.open_directory(Layout(tmp_path / "file" / "d"), None)


def test_half_a_cluster_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.postgres.mkdir()
    (layout.postgres / "PG_VERSION").write_text(f"{POSTGRES_MAJOR}\n")
    with pytest.raises(DataDirError, match="not a complete PostgreSQL cluster"):
        data_dir.check_cluster(layout)


def test_another_postgres_major_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    (layout.postgres / "global").mkdir(parents=True)
    (layout.postgres / "global" / "pg_control").write_bytes(b"x")
    (layout.postgres / "PG_VERSION").write_text("99\n")
    with pytest.raises(NewerDataDirError, match="PostgreSQL 99"):
        data_dir.check_cluster(layout)


def test_lost_secrets_beside_a_database_are_not_replaced(tmp_path: Path) -> None:
    secrets = secret_files.ensure(tmp_path, database_exists=False)
    secrets.path("jwt_secret").unlink()
    with pytest.raises(DataDirError, match="lacks jwt_secret"):
        secret_files.ensure(tmp_path, database_exists=True)
    assert not secrets.path("jwt_secret").exists()


def test_secrets_are_made_once_and_differ(tmp_path: Path) -> None:
    first = secret_files.ensure(tmp_path / "a", database_exists=False)
    again = secret_files.ensure(tmp_path / "a", database_exists=True)
    other = secret_files.ensure(tmp_path / "b", database_exists=False)
    for name in secret_files.NAMES:
        assert first.value(name) == again.value(name)
        assert first.value(name) != other.value(name)
    assert first.value("ssh_ca_key").startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_too_little_space_is_found_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="MiB free"):
        data_dir.check_free_space(tmp_path / "not" / "yet", minimum=1 << 62)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_folder_on_the_way_is_found(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    inner = closed / "inner"
    inner.mkdir(parents=True)
    closed.chmod(0o700)
    stranger = Account("stranger", uid=os.getuid() + 54_321, gid=os.getgid() + 54_321)
    for parent in closed.parents:
        if parent.stat().st_mode & 0o001 == 0:
            assert (
                blocking_ancestor(inner, stranger)
                == [*reversed(closed.parents)][
                    [p.stat().st_mode & 1 for p in reversed(closed.parents)].index(0)
                ]
            )
            return
    assert blocking_ancestor(inner, stranger) == closed


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    files.write_private(path, "old")
    monkeypatch.setattr(os, "fsync", _fail)
    with pytest.raises(OSError, match="No space"):
        files.write_private(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def _fail(_descriptor: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("environ", "root", "expected"),
    [
        ({"XDG_DATA_HOME": "/x", "HOME": "/h"}, False, Path("/x/remotegpu")),
        ({"XDG_DATA_HOME": "relative", "HOME": "/h"}, False, Path("/h/.local/share/remotegpu")),
        ({"HOME": "/h"}, False, Path("/h/.local/share/remotegpu")),
        ({"HOME": "/root"}, True, SYSTEM_DATA_DIR),
        ({"XDG_DATA_HOME": "/x"}, True, Path("/x/remotegpu")),
    ],
)
def test_the_default_place(environ: dict[str, str], *, root: bool, expected: Path) -> None:
    assert default_data_dir(environ, root=root) == expected
