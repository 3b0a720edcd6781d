"""Web shells: they outlive the window, the connection and the agent, and end with the lease."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from integration.agent_access.terminal import terminal
from integration.agent_access.world import ACME, World, account, certify, eventually, line, running_world
from remotegpu.agent.access import shells
from remotegpu.agent.access.gateway import AccessGateway
from remotegpu.agent.access.shells import ShellHosts
from remotegpu.protocol.streams import SHELL_ENV

KEY = asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
async def leased(world: World) -> World:
    world.people = [account(keys=[KEY])]
    world.apply()
    return world


def alive(pid: int) -> bool:
    """Running, not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_shell_is_the_same_after_the_window_was_closed(leased: World) -> None:
    async with terminal(leased, KEY, shell="one", events=True) as first:
        assert json.loads(await first.process.stderr.readline()) == {"resumed": False}
        await first.do("kept=gr''üße; echo something to remember")
        pid = await first.do("echo $$")
    async with terminal(leased, KEY, shell="one", events=True) as again:
        assert json.loads(await again.process.stderr.readline()) == {"resumed": True}
        await again.see("something to remember")
        assert await again.do("echo $$") == pid
        assert await again.do("echo $kept") == "grüße\r\n".encode()


async def test_output_made_while_nobody_looked_is_shown_on_return(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as first:
        await first.do("(sleep 0.3; echo made inbetween; touch made) &")
    await eventually((leased.folder / f"homes/{ACME}/made").exists)
    async with terminal(leased, KEY, shell="one") as again:
        await again.see("made inbetween")


async def test_a_program_goes_on_while_nobody_looks_however_much_it_prints(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as first:
        first.type("head -c 20000000 /dev/zero | base64; touch finished\n")
        await first.see("AAAA")
    await eventually((leased.folder / f"homes/{ACME}/finished").exists, timeout_s=20)
    async with terminal(leased, KEY, shell="one") as again:
        await again.do("true")
        screen = bytes(again.screen)
    assert 900_000 < len(screen) < 1_300_000, "the replay is bounded"
    assert set(screen[:70]) <= set(b"A=\r\n"), "the replay starts at a line's beginning"


async def test_the_shells_exit_code_arrives_and_the_next_attach_gets_a_new_shell(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as first:
        pid = await first.do("echo $$")
        first.type("exit 42\n")
        await first.rest()
        assert (await first.process.wait()).exit_status == 42
    async with terminal(leased, KEY, shell="one") as again:
        assert await again.do("echo $$") != pid


async def test_all_output_before_the_end_arrives(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as first:
        first.type("seq 1 200000; exit 5\n")
        screen = await first.rest()
        assert (await first.process.wait()).exit_status == 5
    assert b"\r\n199999\r\n200000\r\n" in screen


async def test_a_second_window_takes_over_and_the_first_is_told(leased: World) -> None:
    async with terminal(leased, KEY, shell="one", events=True) as first:
        assert json.loads(await first.process.stderr.readline()) == {"resumed": False}
        await first.do("echo $$")
        async with terminal(leased, KEY, shell="one") as second:
            assert json.loads(await first.process.stderr.readline()) == {"taken_over": True}
            await first.rest()
            assert (await first.process.wait()).exit_signal[0] == "HUP"  # pyright: ignore[reportOptionalSubscript]
            assert await second.do("echo mine") == b"mine\r\n"


async def test_an_ordinary_client_reads_that_it_was_taken_over(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as first:
        await first.do("true")
        async with terminal(leased, KEY, shell="one") as second:
            await second.do("true")
            assert b"opened in another window" in await first.rest()


async def test_people_of_one_account_cannot_enter_each_others_shells(leased: World) -> None:
    colleague = asyncssh.generate_private_key("ssh-ed25519")
    leased.people = [account(keys=[KEY, colleague])]
    leased.apply()
    async with terminal(leased, KEY, shell="same-id") as mine:
        my_pid = await mine.do("echo $$")
        async with terminal(leased, colleague, shell="same-id") as theirs:
            assert await theirs.do("echo $$") != my_pid
        assert await mine.do("echo $$") == my_pid


async def test_one_person_with_many_certificates_has_one_shell(leased: World) -> None:
    pids: list[bytes] = []
    for key_id in ("anna", "anna", "ben"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        async with terminal(leased, key, shell="s", certificate=certify(key, key_id=key_id)) as window:
            pids.append(await window.do("echo $$"))
    assert pids[0] == pids[1] != pids[2]


async def test_resizing_reaches_the_shell_also_after_returning_with_another_size(leased: World) -> None:
    async with terminal(leased, KEY, shell="one", size=(80, 24)) as first:
        assert await first.do("stty size") == b"24 80\r\n"
        first.process.change_terminal_size(120, 50)
        assert await first.do("stty size") == b"50 120\r\n"
    async with terminal(leased, KEY, shell="one", size=(99, 33)) as again:
        assert await again.do("stty size") == b"33 99\r\n"


async def test_a_full_screen_program_repaints_for_whoever_returns(leased: World) -> None:
    painter = leased.folder / f"homes/{ACME}/paint.py"
    painter.parent.mkdir(parents=True, exist_ok=True)
    painter.write_text(
        "import os, signal, sys, time\n"
        "def paint(*_): print('\\x1b[H\\x1b[2Jpainted for', *os.get_terminal_size(), flush=True)\n"
        "signal.signal(signal.SIGWINCH, paint)\n"
        "print('\\x1b[?1049h', end=''); paint()\n"
        "while True: time.sleep(60)\n"
    )
    async with terminal(leased, KEY, shell="one", size=(80, 24)) as first:
        first.type(f"{sys.executable} paint.py\n")
        await first.see("painted for 80 24")
    async with terminal(leased, KEY, shell="one", size=(80, 24)) as again:
        await again.see("painted for 80 23")
        screen = await again.see(b"painted for 80 23\r\n\x1b[H\x1b[2Jpainted for 80 24")
        assert b"\x1b[?1049h" in screen
        again.type("\x03")


async def test_characters_survive_every_border(leased: World) -> None:
    text = "漢字🙂é" * 40_000
    (leased.folder / f"homes/{ACME}").mkdir(parents=True, exist_ok=True)
    (leased.folder / f"homes/{ACME}/text").write_text(text)
    async with terminal(leased, KEY, shell="one") as window:
        shown = await window.do("cat text; echo")
    assert shown.decode().replace("\r\n", "") == text


async def test_typed_input_arrives_whole_even_when_much_is_pasted(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as window:
        window.type("stty raw -echo; head -c 600000 | sha256sum > sum; stty sane; echo re''ady\n")
        await asyncio.sleep(0.3)
        pasted = ("0123456789abcde\n" * 37_500)[:600_000]
        window.type(pasted)
        await window.see("ready", timeout_s=20)
    import hashlib

    expected = hashlib.sha256(pasted.encode()).hexdigest()
    assert (leased.folder / f"homes/{ACME}/sum").read_text().split()[0] == expected


async def test_a_slow_reader_slows_the_program_and_not_the_memory(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as window:
        host = int(await window.do("echo $PPID"))
        window.process.stdout.channel.pause_reading()
        window.type("head -c 200000000 /dev/zero | base64; touch finished\n")
        await asyncio.sleep(1.5)
        assert _resident_kib(host) < 32 * 1024
        assert not (leased.folder / f"homes/{ACME}/finished").exists(), "the program ran ahead of its reader"
        window.type("\x03")


async def test_the_end_of_the_lease_ends_the_shell_and_all_that_runs_in_it(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as window:
        await window.do("setsid nohup sleep 300 >/dev/null 2>&1 & echo $! > bg; (sleep 301 & echo $! > bg2)")
        await window.do("pidof -s sleep >/dev/null; echo $$ > shell; echo $PPID > host")
        home = leased.folder / f"homes/{ACME}"
        pids = [int((home / name).read_text()) for name in ("bg2", "shell", "host")]
        assert all(map(alive, pids))
        await leased.gateway.close_account(ACME)
        assert [pid for pid in pids[:2] if alive(pid)] == [], (
            "the account's processes are gone when it says so"
        )
        await eventually(lambda: not alive(pids[2]))
        await asyncio.wait_for(window.connection.wait_closed(), 5)
    assert _working_in(home) == []


def _working_in(folder: Path) -> list[str]:
    """Names of the processes whose working directory is ``folder``."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "comm").read_text())
        except OSError:
            continue
    return found


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(row for row in status.splitlines() if row.startswith("VmRSS")).split()[1])


async def test_an_ordinary_terminal_ends_with_its_connection(leased: World) -> None:
    async with terminal(leased, KEY) as window:
        shell = int(await window.do("echo $$"))
        host = int(await window.do("echo $PPID"))
    await eventually(lambda: not alive(shell) and not alive(host))


@pytest.mark.parametrize("shell", ["", "../etc", "a/b", "a b", "x" * 65, "ä", "a\0b"])
async def test_a_shell_id_that_is_none_is_refused_with_a_reason(leased: World, shell: str) -> None:
    async with terminal(leased, KEY, shell=shell) as window:
        assert await window.rest() == b""
        assert b"expected 1 to 64 of A-Z a-z 0-9 _ -" in await window.process.stderr.read()
        assert (await window.process.wait()).exit_status == 255


async def test_a_shell_id_with_a_command_is_refused(leased: World) -> None:
    async with await leased.connect(KEY) as connection:
        done = await connection.run("true", env={SHELL_ENV: "one"}, term_type="xterm")
    assert done.exit_status == 255
    assert "without a command" in str(done.stderr)


async def test_a_stopped_agent_leaves_the_shell_to_the_next_one(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as window:
        pid = await window.do("echo $$")
        await leased.gateway.stop()
        await asyncio.wait_for(window.connection.wait_closed(), 5)
    assert leased.relay.close_codes[-1][0] == 1001
    leased.gateway = AccessGateway(
        data_dir=leased.folder / "data",
        accounts=leased.accounts,
        dial=leased.gateway._streams._dial,  # pyright: ignore[reportPrivateUsage]
    )
    await leased.gateway.start()
    leased.apply()
    async with terminal(leased, KEY, shell="one") as again:
        assert await again.do("echo $$") == pid


async def test_a_lease_that_ended_while_no_agent_ran_ends_its_shells_on_the_first_word(leased: World) -> None:
    leased.people.append(account("other", keys=[KEY], allocation="a9"))
    leased.apply()
    async with (
        terminal(leased, KEY, shell="one") as mine,
        terminal(leased, KEY, shell="one", user="other") as other,
    ):
        ended = int(await mine.do("echo $$"))
        stays = int(await other.do("echo $$"))
        await leased.gateway.stop()
    leased.people = leased.people[1:]
    leased.gateway = AccessGateway(
        data_dir=leased.folder / "data",
        accounts=leased.accounts,
        dial=leased.gateway._streams._dial,  # pyright: ignore[reportPrivateUsage]
    )
    await leased.gateway.start()
    leased.apply()
    await eventually(lambda: not alive(ended))
    assert alive(stays)


async def test_sockets_are_only_for_the_agents_user(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as window:
        await window.do("true")
        folder = leased.folder / "data" / "shells"
        assert folder.stat().st_mode & 0o777 == 0o700
        sockets = list(folder.iterdir())
        assert len(sockets) == 1
        assert sockets[0].stat().st_mode & 0o777 == 0o600


async def test_a_very_long_data_directory_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with running_world(deep) as world:
        world.people = [account(keys=[KEY])]
        world.apply()
        async with terminal(world, KEY, shell="one") as window:
            assert await window.do("echo here") == b"here\r\n"


async def test_what_a_killed_host_left_is_replaced(leased: World) -> None:
    async with terminal(leased, KEY, shell="one") as window:
        host = int(await window.do("echo $PPID"))
        os.kill(host, signal.SIGKILL)
        await window.rest()
        assert (await window.process.wait()).exit_signal is not None
    async with terminal(leased, KEY, shell="one") as again:
        assert await again.do("echo new") == b"new\r\n"


async def test_a_shell_nobody_can_find_any_more_ends(leased: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "LOST_CHECK_S", 0.1)
    async with terminal(leased, KEY, shell="one") as window:
        host = int(await window.do("echo $PPID"))
        shutil.rmtree(leased.folder / "data" / "shells")
        await asyncio.sleep(0.3)
        assert await window.do("echo still attached") == b"still attached\r\n"
    await eventually(lambda: not alive(host))


async def test_a_shell_left_alone_for_too_long_ends(leased: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "IDLE_S", 0.3)
    async with terminal(leased, KEY, shell="one") as window:
        shell, host = int(await window.do("echo $$")), int(await window.do("echo $PPID"))
        await asyncio.sleep(0.5)
        assert await window.do("echo in use") == b"in use\r\n"
    await eventually(lambda: not alive(host) and not alive(shell))


AGENT = """
import asyncio, json, sys
from pathlib import Path
import aiohttp, msgspec
from remotegpu.agent.access import shells
from remotegpu.agent.access.gateway import AccessGateway
from remotegpu.agent.accounts import AccountIdentity
from remotegpu.protocol.sync import DesiredState

class Accounts:
    def lookup(self, name):
        home = Path(sys.argv[2]) / "homes" / name
        home.mkdir(parents=True, exist_ok=True)
        (home / ".bash_profile").write_text("set +o emacs; stty -echo; PS1=''\\n")
        return AccountIdentity(name=name, uid=None, gid=None, home=home)

async def main():
    async with aiohttp.ClientSession() as http:
        gateway = AccessGateway(
            data_dir=Path(sys.argv[2]) / "data",
            accounts=Accounts(),
            dial=lambda path: http.ws_connect(sys.argv[1] + path, compress=0),
        )
        await gateway.start()
        print("ready", flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            gateway.apply(msgspec.json.decode(line, type=DesiredState))

asyncio.run(main())
"""


@pytest.fixture
async def agent_process(world: World) -> AsyncIterator[asyncio.subprocess.Process]:
    """The gateway in a process of its own, for tests that kill it."""
    started: list[asyncio.subprocess.Process] = []

    async def start() -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", AGENT, world.relay.url, str(world.folder), stdin=pipe, stdout=pipe
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        started.append(process)
        return process

    yield start  # pyright: ignore[reportReturnType]
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()
    hosts = ShellHosts(world.folder / "data" / "shells")
    hosts.start()
    await hosts.close_account(ACME)
    hosts.stop()


async def test_a_shell_survives_the_agents_sudden_death(world: World, agent_process) -> None:
    import msgspec

    from remotegpu.protocol.sync import DesiredState

    agent = await agent_process()
    current = [agent]

    def tell(streams: list) -> None:
        desired = DesiredState(
            revision=1, accounts=[account(keys=[KEY])], streams=streams, ssh_ca_keys=[line(KEY)]
        )
        current[0].stdin.write(msgspec.json.encode(desired) + b"\n")

    world.relay.on_streams = tell
    async with terminal(world, KEY, shell="one") as window:
        pid = await window.do("echo $$; x=42")
        await window.do("(sleep 0.5; echo after the death) &")
        agent.kill()
        await agent.wait()
    assert alive(int(pid))
    await asyncio.sleep(0.6)
    current[0] = await agent_process()
    async with terminal(world, KEY, shell="one") as again:
        await again.see("after the death")
        await again.do("true")  # where bash reports the job that ended
        assert await again.do("echo $$ $x") == pid.strip() + b" 42\r\n"


@pytest.mark.root
async def test_under_linux_isolation_everything_runs_as_the_customers_user() -> None:
    if os.geteuid() != 0:
        pytest.skip("not root: running as another Linux user is not tried")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101 — pytest's own folders are closed to other users
        async with running_world(Path(folder)) as world:
            world.accounts.as_user(ACME, "nobody")
            world.people = [account(keys=[KEY])]
            world.apply()
            async with terminal(world, KEY, shell="one") as window:
                assert (
                    await window.do("id -un; id -ru; pwd")
                    == f"nobody\r\n65534\r\n{folder}/homes/{ACME}\r\n".encode()
                )
                assert b"Permission denied" in await window.do("ls /root")
                assert b"ermission" in await window.do(f"ls {folder}/data/shells")
                assert b"not permitted" in await window.do("kill -0 $PPID")
            async with await world.connect(KEY) as connection:
                assert (await connection.run("id -un")).stdout == "nobody\n"
                async with connection.start_sftp_client() as sftp:
                    async with sftp.open("made", "w") as file:
                        await file.write("by sftp")
                    with pytest.raises(asyncssh.SFTPPermissionDenied):
                        await sftp.listdir("/root")
                    assert await sftp.realpath(".") == f"{folder}/homes/{ACME}"
            assert (Path(folder) / f"homes/{ACME}/made").stat().st_uid == 65534
