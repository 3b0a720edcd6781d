"""Accounts on a real host: made, wiped, and proven gone."""

import os
import pwd
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from remotegpu.agent.accounts.adapter import AccountError, WipeProof, validated_name
from remotegpu.agent.accounts.directory import DirectoryAccounts
from remotegpu.agent.accounts.linux import LinuxAccounts
from remotegpu.protocol.sync import AccountSpec

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make accounts")


@pytest.mark.parametrize("name", ["", "Root", "1a", "-x", "a/b", "..", "a b", "a\n", "a" * 32, "ä", "a_b"])
def test_hostile_names_never_reach_the_host(name: str, tmp_path: Path) -> None:
    with pytest.raises(AccountError, match="expected a lower-case letter"):
        validated_name(name)
    for accounts in (DirectoryAccounts(tmp_path), LinuxAccounts(tmp_path)):
        with pytest.raises(AccountError):
            accounts.ensure(AccountSpec(name=name, allocation_id="1"))
        with pytest.raises(AccountError):
            accounts.remove(name)


def test_proof_names_what_remains_and_counts_the_rest() -> None:
    assert WipeProof("acme").absent
    assert WipeProof("acme").detail() == ""
    assert WipeProof("acme", [f"file {n}" for n in range(10)]).detail().endswith("file 7; and 2 more")


def test_directory_account_is_private_and_repeatable(tmp_path: Path) -> None:
    accounts = DirectoryAccounts(tmp_path / "accounts")
    assert accounts.names() == []
    assert accounts.lookup("acme") is None
    identity = accounts.ensure(AccountSpec(name="acme", allocation_id="1"))
    (identity.home / "kept").touch()
    assert accounts.ensure(AccountSpec(name="acme", allocation_id="1")) == identity
    assert (identity.home / "kept").exists()
    assert identity.home.stat().st_mode & 0o777 == 0o700
    assert (accounts.lookup("acme"), accounts.names()) == (identity, ["acme"])


def test_directory_account_is_wiped_with_every_process_that_belongs_to_it(tmp_path: Path) -> None:
    accounts = DirectoryAccounts(tmp_path / "accounts")
    home = accounts.ensure(AccountSpec(name="acme", allocation_id="1")).home
    other = accounts.ensure(AccountSpec(name="other", allocation_id="2")).home
    started = [
        subprocess.Popen(["sleep", "300"], env={"HOME": str(home)}),
        subprocess.Popen(["sleep", "300"], env={"REMOTEGPU_ACCOUNT": "acme"}, start_new_session=True),
        subprocess.Popen(["sleep", "300"], env={}, cwd=home),
    ]
    bystander = subprocess.Popen(["sleep", "300"], env={"HOME": str(other)}, cwd=other)
    (home / "locked").mkdir(mode=0o500)
    try:
        assert accounts.remove("acme").absent
        assert [process.wait(5) for process in started] == [-9, -9, -9]
        assert bystander.poll() is None
        assert not home.exists()
        assert other.is_dir()
        assert accounts.remove("acme").absent, "wiping twice is no error"
    finally:
        for process in [*started, bystander]:
            process.kill()
            process.wait()


@pytest.fixture
def linux_name() -> Iterator[str]:
    name = f"rgtest-{uuid.uuid4().hex[:8]}"
    yield name
    subprocess.run(["pkill", "-KILL", "-u", name], check=False, capture_output=True)
    subprocess.run(["userdel", "--force", "--remove", name], check=False, capture_output=True)


@pytest.mark.root
@needs_root
def test_linux_account_is_made_locked_and_private(linux_name: str, tmp_path: Path) -> None:
    accounts = LinuxAccounts(tmp_path)
    spec = AccountSpec(name=linux_name, allocation_id="1")
    identity = accounts.ensure(spec)
    assert accounts.ensure(spec) == identity
    assert identity.uid == pwd.getpwnam(linux_name).pw_uid
    assert identity.home.stat().st_mode & 0o777 == 0o700
    assert linux_name in accounts.names()
    shadow = next(
        line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith(linux_name + ":")
    )
    assert shadow.split(":")[1].startswith("!")


@pytest.mark.root
@needs_root
def test_linux_account_leaves_nothing_behind(linux_name: str, tmp_path: Path) -> None:
    accounts = LinuxAccounts(tmp_path)
    identity = accounts.ensure(AccountSpec(name=linux_name, allocation_id="1"))
    left = f"/tmp/{linux_name}"
    script = (
        f"mkdir -p {left}/sub; touch {left}/sub/file /var/tmp/{linux_name} /dev/shm/{linux_name} ~/file; "
        "(setsid sleep 300 >/dev/null 2>&1 &); exec sleep 300"
    )
    process = subprocess.Popen(
        ["bash", "-c", script], user=identity.uid, group=identity.gid, env={"HOME": str(identity.home)}
    )
    deadline = time.monotonic() + 5
    while not (identity.home / "file").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    proof = accounts.remove(linux_name)
    assert proof.remains == []
    assert process.wait(5) == -9
    assert [
        path for path in (left, f"/var/tmp/{linux_name}", f"/dev/shm/{linux_name}") if Path(path).exists()
    ] == []
    assert not identity.home.exists()
    assert accounts.lookup(linux_name) is None
    assert accounts.remove(linux_name).absent, "wiping twice is no error"


@pytest.mark.root
@needs_root
def test_accounts_of_others_are_neither_taken_nor_wiped(tmp_path: Path) -> None:
    accounts = LinuxAccounts(tmp_path)
    assert accounts.lookup("daemon") is None
    with pytest.raises(AccountError, match="is not RemoteGPU's"):
        accounts.ensure(AccountSpec(name="daemon", allocation_id="1"))
    assert not accounts.remove("daemon").absent
    assert pwd.getpwnam("daemon")


@pytest.mark.root
@needs_root
def test_second_agent_on_the_host_leaves_the_first_one_s_accounts_alone(
    linux_name: str, tmp_path: Path
) -> None:
    """It would else kill and wipe them at its first answer, since its server does not know them."""
    first, second = LinuxAccounts(tmp_path / "first"), LinuxAccounts(tmp_path / "second")
    first.ensure(AccountSpec(name=linux_name, allocation_id="1"))
    assert linux_name not in second.names()
    assert not second.remove(linux_name).absent
    assert linux_name in first.names()
    assert first.remove(linux_name).absent


@pytest.mark.root
@needs_root
def test_home_replaced_by_a_link_is_not_followed(linux_name: str, tmp_path: Path) -> None:
    accounts = LinuxAccounts(tmp_path)
    home = accounts.ensure(AccountSpec(name=linux_name, allocation_id="1")).home
    (tmp_path / "precious").touch()
    subprocess.run(["rm", "-rf", str(home)], check=True)
    home.symlink_to(tmp_path)
    try:
        proof = accounts.remove(linux_name)
        assert not proof.absent
        assert "symbolic link" in proof.detail()
        assert (tmp_path / "precious").exists()
    finally:
        home.unlink()
