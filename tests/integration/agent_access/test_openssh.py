"""The system's own ``ssh``, ``sftp`` and ``scp`` against the agent."""

import asyncio
import hashlib
import os
from pathlib import Path

import asyncssh
import pytest

from integration.agent_access.world import (
    ACME,
    CA,
    OTHER_CA,
    World,
    account,
    certify,
    eventually,
    run,
    write_certificate,
    write_key,
)

pytestmark = pytest.mark.usefixtures("openssh")


@pytest.fixture
def person(tmp_path: Path) -> tuple[asyncssh.SSHKey, Path]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    return key, write_key(tmp_path, "id", key)


Person = tuple[asyncssh.SSHKey, Path]


async def test_a_certificate_of_the_ca_opens_the_account(world: World, person: Person) -> None:
    key, file = person
    world.people = [account()]
    world.apply()
    write_certificate(file, certify(key))
    done = await world.ssh(file, "echo $USER $HOME $LANG $REMOTEGPU_ACCOUNT; pwd; exit 7")
    assert done.code == 7, done.err
    home = world.folder / "homes" / ACME
    assert done.out.decode().splitlines() == [f"{ACME} {home} C.UTF-8 {ACME}", str(home)]


async def test_a_key_of_the_account_opens_it(world: World, person: Person) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    done = await world.ssh(file, "true")
    assert done.code == 0, done.err


async def test_the_agents_own_environment_does_not_reach_the_customer(
    world: World, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMOTEGPU_AGENT_TOKEN", "secret-of-the-agent")
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    plain = await world.ssh(file, "env")
    terminal = await world.ssh(file, "env", extra=["RequestTTY=force"])
    for done in (plain, terminal):
        assert done.code == 0, done.err
        assert b"HOME=" in done.out
        assert b"secret-of-the-agent" not in done.out


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param({"starts_in_s": -600, "ends_in_s": -60}, id="expired"),
        pytest.param({"starts_in_s": 600, "ends_in_s": 900}, id="not-yet-valid"),
        pytest.param({"principals": ["allocation:other"]}, id="wrong-principal"),
        pytest.param({"principals": []}, id="no-principal"),
        pytest.param({"principals": [ACME]}, id="account-name-is-no-principal"),
        pytest.param({"ca": OTHER_CA}, id="foreign-ca"),
    ],
)
async def test_a_certificate_that_does_not_fit_is_refused(
    world: World, person: Person, certificate: dict[str, object]
) -> None:
    key, file = person
    world.people = [account()]
    world.apply()
    write_certificate(file, certify(key, **certificate))  # pyright: ignore[reportArgumentType]
    done = await world.ssh(file, "echo in")
    assert done.code == 255
    assert done.out == b""
    assert "Permission denied" in done.err


async def test_an_account_that_is_not_leased_is_refused(world: World, person: Person) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    done = await world.ssh(file, "echo in", user="root")
    assert (done.code, done.out) == (255, b"")
    assert "Permission denied" in done.err


async def test_a_customers_key_line_cannot_make_its_key_an_authority(world: World, person: Person) -> None:
    key, file = person
    own_ca = OTHER_CA.export_public_key().decode().strip()
    spec = account()
    world.people = [
        type(spec)(
            name=ACME,
            allocation_id="a1",
            authorized_keys=[f"cert-authority {own_ca}", f'command="id" {own_ca}', "nonsense"],
            principals=spec.principals,
        )
    ]
    world.apply()
    write_certificate(file, certify(key, ca=OTHER_CA))
    done = await world.ssh(file, "echo in")
    assert (done.code, done.out) == (255, b"")


async def test_both_authorities_count_during_a_rotation(world: World, person: Person) -> None:
    key, file = person
    world.people = [account()]
    world.ca_keys = [CA, OTHER_CA]
    world.apply()
    for ca in (CA, OTHER_CA):
        write_certificate(file, certify(key, ca=ca))
        assert (await world.ssh(file, "true")).code == 0


async def test_exit_codes_signals_and_both_outputs_arrive(world: World, person: Person) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    done = await world.ssh(file, "echo out; echo err >&2; exit 42")
    assert (done.code, done.out, done.err.strip()) == (42, b"out\n", "err")
    killed = await world.ssh(file, "kill -KILL $$")
    assert killed.code != 0
    missing = await world.ssh(file, "no-such-program")
    assert missing.code == 127


async def test_input_reaches_a_command_and_its_end_too(world: World, person: Person) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    data = os.urandom(3_000_000)
    options = world.ssh_options(file)
    done = await run(
        "ssh", *options, "-p", str(world.relay.tcp_port), f"{ACME}@127.0.0.1", "sha256sum", stdin=data
    )
    assert done.code == 0, done.err
    assert done.out.split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_a_shell_without_a_terminal_reads_commands(world: World, person: Person) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    options = world.ssh_options(file)
    script = b"shopt -q login_shell && echo login\nexit 3\n"
    done = await run("ssh", *options, "-p", str(world.relay.tcp_port), f"{ACME}@127.0.0.1", stdin=script)
    assert (done.code, done.out) == (3, b"login\n"), done.err


async def test_sftp_and_scp_round_trip_keeps_every_byte(world: World, person: Person, tmp_path: Path) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    sent = tmp_path / "sent file.bin"
    sent.write_bytes(os.urandom(5_000_001))
    port = str(world.relay.tcp_port)
    options = world.ssh_options(file)
    up = await run("scp", *options, "-P", port, str(sent), f"{ACME}@127.0.0.1:kept.bin")
    assert up.code == 0, up.err
    home = world.folder / "homes" / ACME
    assert (home / "kept.bin").read_bytes() == sent.read_bytes()
    back = tmp_path / "back.bin"
    down = await run("scp", *options, "-P", port, f"{ACME}@127.0.0.1:kept.bin", str(back))
    assert down.code == 0, down.err
    assert hashlib.sha256(back.read_bytes()).digest() == hashlib.sha256(sent.read_bytes()).digest()


async def test_sftp_does_what_people_do_with_it(world: World, person: Person, tmp_path: Path) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    local = tmp_path / "hello.txt"
    local.write_text("héllo")
    batch = f"""
mkdir work
put {local} work/a.txt
rename work/a.txt work/b.txt
symlink b.txt work/link
chmod 600 work/b.txt
ls -l work
get work/link {tmp_path}/fetched.txt
rm work/link
-get no-such-file
df
pwd
"""
    argv = ["sftp", *world.ssh_options(file), "-P", str(world.relay.tcp_port), "-b", "-", f"{ACME}@127.0.0.1"]
    done = await run(*argv, stdin=batch.encode())
    assert done.code == 0, done.err
    home = world.folder / "homes" / ACME
    assert (home / "work/b.txt").stat().st_mode & 0o777 == 0o600
    assert not (home / "work/link").exists()
    assert (tmp_path / "fetched.txt").read_text() == "héllo"
    assert str(home).encode() in done.out
    assert b"-rw-------" in done.out
    assert "not found" in done.err.lower() or "no such file" in done.err.lower()


async def test_a_recursive_copy_of_many_files_arrives_whole(
    world: World, person: Person, tmp_path: Path
) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    tree = tmp_path / "tree"
    for number in range(130):
        path = tree / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    options = world.ssh_options(file)
    port = str(world.relay.tcp_port)
    up = await run("scp", *options, "-rq", "-P", port, str(tree), f"{ACME}@127.0.0.1:tree")
    assert up.code == 0, up.err
    down = await run("scp", *options, "-rq", "-P", port, f"{ACME}@127.0.0.1:tree", str(tmp_path / "again"))
    assert down.code == 0, down.err
    again = {p.relative_to(tmp_path / "again"): p.read_text() for p in (tmp_path / "again").rglob("f*")}
    assert again == {p.relative_to(tree): p.read_text() for p in tree.rglob("f*")}


async def test_a_terminal_has_the_size_and_type_of_the_clients(world: World, person: Person) -> None:
    key, _ = person
    world.people = [account(keys=[key])]
    world.apply()
    async with await world.connect(key) as connection:
        done = await connection.run(
            "stty size; tty; echo $TERM", term_type="xterm-256color", term_size=(133, 41)
        )
    lines = str(done.stdout).replace("\r", "").splitlines()
    assert lines[0] == "41 133"
    assert lines[1].startswith("/dev/pts/")
    assert lines[2] == "xterm-256color"


async def test_a_port_on_the_hosts_loopback_can_be_forwarded(world: World, person: Person) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    service = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = service.sockets[0].getsockname()[1]
    options = world.ssh_options(file)
    argv = ["ssh", *options, "-p", str(world.relay.tcp_port), "-W", f"localhost:{port}", f"{ACME}@127.0.0.1"]
    done = await run(*argv, stdin=b"tensorboard\n")
    assert done.out == b"TENSORBOARD\n", done.err
    service.close()


@pytest.mark.parametrize(
    "target", ["192.0.2.1", "169.254.169.254", "example.invalid", "0.0.0.0", "127.0.0.1.nip.io"]
)
async def test_forwarding_into_the_operators_network_is_refused(
    world: World, person: Person, target: str
) -> None:
    key, _ = person
    world.people = [account(keys=[key])]
    world.apply()
    async with await world.connect(key) as connection:
        with pytest.raises(asyncssh.ChannelOpenError, match=f"not to {target}"):
            await connection.open_connection(target, 80)
        assert (await connection.run("echo still here")).stdout == "still here\n"


async def test_remote_forwarding_is_refused(world: World, person: Person) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    done = await world.ssh(
        file, "true", extra=["ExitOnForwardFailure=yes", "RemoteForward=127.0.0.1:0 127.0.0.1:1"]
    )
    assert done.code == 255
    assert "forwarding failed" in done.err


async def test_the_end_of_the_lease_cuts_a_live_connection(world: World, person: Person) -> None:
    key, file = person
    world.people = [account(keys=[key])]
    world.apply()
    marker = world.folder / "homes" / ACME / "pid"
    live = asyncio.create_task(world.ssh(file, "echo $$ > pid; sleep 300"))
    await eventually(lambda: marker.exists() and marker.read_text().strip())
    pid = int(marker.read_text())
    world.people = []
    world.apply()
    done = await asyncio.wait_for(live, 5)
    assert done.code == 255
    await eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert world.relay.close_codes[-1][0] == 4001
    assert (await world.ssh(file, "true")).code == 255


async def test_a_withdrawn_key_cuts_what_it_opened_and_nothing_else(world: World, person: Person) -> None:
    key, _ = person
    colleague = asyncssh.generate_private_key("ssh-ed25519")
    world.people = [account(keys=[key, colleague])]
    world.apply()
    async with await world.connect(colleague) as stays, await world.connect(key) as goes:
        world.people = [account(keys=[colleague])]
        world.apply()
        await asyncio.wait_for(goes.wait_closed(), 5)
        assert (await stays.run("echo still here")).stdout == "still here\n"


async def test_a_new_allocation_of_the_same_account_starts_without_the_old_ones_guests(
    world: World, person: Person
) -> None:
    key, _ = person
    world.people = [account(keys=[key], allocation="a1")]
    world.apply()
    async with await world.connect(key) as old:
        world.people = [account(keys=[key], allocation="a2")]
        world.apply()
        await asyncio.wait_for(old.wait_closed(), 5)


async def test_the_host_key_stays_the_same_and_private(world: World) -> None:
    file = world.folder / "data" / "ssh_host_ed25519_key"
    assert file.stat().st_mode & 0o777 == 0o600
    again = type(world.gateway)(data_dir=world.folder / "data", accounts=world.accounts, dial=None)  # pyright: ignore[reportArgumentType]
    assert again.host_key == world.gateway.host_key
    assert again.host_key.startswith("ssh-ed25519 AAAA")


async def test_nothing_listens_on_a_port(world: World, person: Person) -> None:
    """The gateway adds no listening socket: the relay's two are all there are in this process."""
    key, _ = person
    world.people = [account(keys=[key])]
    world.apply()
    async with await world.connect(key) as connection:
        await connection.run("true", term_type="xterm")
        listening = _listening_ports()
    assert listening == sorted([world.relay.http_port, world.relay.tcp_port])


def _listening_ports() -> list[int]:
    """TCP ports this process listens on, as the kernel tells."""
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    rows = [row.split() for row in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    mine = {str(link) for link in links}
    return sorted(
        int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in mine
    )
