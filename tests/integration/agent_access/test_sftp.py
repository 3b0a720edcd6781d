"""Our own SFTP server, through a client that uses all of it. It runs where the host has no ``sftp-server``."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from integration.agent_access.world import ACME, World, account
from remotegpu.agent.access import launch

KEY = asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(autouse=True)
def no_system_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_SYSTEM_SFTP_SERVERS", ())


@pytest.fixture
async def sftp(world: World) -> AsyncIterator[asyncssh.SFTPClient]:
    world.people = [account(keys=[KEY])]
    world.apply()
    async with await world.connect(KEY) as connection, connection.start_sftp_client() as client:
        yield client


@pytest.fixture
def home(world: World) -> Path:
    return world.folder / "homes" / ACME


async def test_it_starts_at_home(sftp: asyncssh.SFTPClient, home: Path) -> None:
    assert await sftp.realpath(".") == str(home)
    assert await sftp.getcwd() == str(home)


async def test_reading_and_writing_at_offsets_and_appending(sftp: asyncssh.SFTPClient, home: Path) -> None:
    async with sftp.open("file", "wb") as file:
        await file.write(b"0123456789")
        await file.seek(3)
        await file.write(b"abc")
    async with sftp.open("file", "ab") as file:
        await file.write(b"!")
    assert (home / "file").read_bytes() == b"012abc6789!"
    async with sftp.open("file", "rb") as file:
        assert await file.read(4, 5) == b"c678"
        assert await file.read(10, 99) == b""


async def test_large_files_both_ways(sftp: asyncssh.SFTPClient, home: Path, tmp_path: Path) -> None:
    data = os.urandom(7_000_003)
    (tmp_path / "up").write_bytes(data)
    await sftp.put(str(tmp_path / "up"), "up")
    assert (home / "up").read_bytes() == data
    await sftp.get("up", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == data


async def test_errors_say_what_is_wrong(sftp: asyncssh.SFTPClient, home: Path) -> None:
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        await sftp.stat("missing")
    with pytest.raises(asyncssh.SFTPNoSuchFile):
        await sftp.listdir("missing")
    (home / "there").write_text("x")
    with pytest.raises(asyncssh.SFTPFailure):
        await sftp.open("there", "xb")
    with pytest.raises(asyncssh.SFTPError):
        await sftp.mkdir("there")
    (home / "other").write_text("y")
    with pytest.raises(asyncssh.SFTPFailure, match="exists"):
        await sftp.rename("other", "there")
    with pytest.raises(asyncssh.SFTPError):
        await sftp.stat("a\0b")
    assert (home / "there").read_text() == "x"


async def test_names_links_times_and_modes(sftp: asyncssh.SFTPClient, home: Path) -> None:
    (home / "a").write_text("x")
    await sftp.posix_rename("a", "ü b")
    await sftp.link("ü b", "hard")
    (home / "soft").symlink_to(
        "hard"
    )  # made here: asyncssh's client uses OpenSSH's order only with OpenSSH itself
    assert await sftp.readlink("soft") == "hard"
    await sftp.chmod("hard", 0o640)
    await sftp.utime("hard", (1_000_000_000, 1_000_000_001))
    found = await sftp.stat("ü b")
    assert (found.permissions or 0) & 0o777 == 0o640
    assert found.mtime == 1_000_000_001
    assert (await sftp.lstat("soft")).size == len("hard")
    await sftp.truncate("hard", 0)
    assert (home / "ü b").stat().st_size == 0
    await sftp.remove("soft")
    await sftp.mkdir("d", asyncssh.SFTPAttrs(permissions=0o700))
    assert (home / "d").stat().st_mode & 0o777 == 0o700
    await sftp.rmdir("d")
    assert {"ü b", "hard"} <= set(await sftp.listdir("."))


async def test_a_directory_of_many_entries_is_listed_whole(sftp: asyncssh.SFTPClient, home: Path) -> None:
    (home / "many").mkdir(parents=True)
    for number in range(777):
        (home / "many" / f"{number:04}").touch()
    names = sorted(name for name in await sftp.listdir("many") if not str(name).startswith("."))
    assert names == [f"{number:04}" for number in range(777)]


async def test_free_space_is_told(sftp: asyncssh.SFTPClient) -> None:
    space = await sftp.statvfs(".")
    assert 0 < space.bavail <= space.blocks


async def test_handles_are_not_unlimited(sftp: asyncssh.SFTPClient, home: Path) -> None:
    (home / "file").write_text("x")
    opened = [await sftp.open("file", "rb") for _ in range(512)]
    with pytest.raises(asyncssh.SFTPFailure, match="handles"):
        await sftp.open("file", "rb")
    await opened[0].close()
    await (await sftp.open("file", "rb")).close()
