"""One Linux account per customer: created by ``useradd``, wiped and proven absent after the lease."""

import grp
import pwd
import subprocess
from hashlib import sha256
from pathlib import Path

from remotegpu.agent.accounts import AccountIdentity, processes, remains
from remotegpu.agent.accounts.adapter import AccountError, WipeProof, validated_name
from remotegpu.protocol.sync import AccountSpec

GECOS = "RemoteGPU customer account"
"""Comment in the passwd entry, followed by whose it is: how an account of ours is told from every other one."""

DEVICE_GROUPS = ("video", "render")
"""Groups that own the GPU device nodes on Debian, Ubuntu and RHEL. ``/dev/nvidia*`` itself is open to all."""

PROGRAM_PATIENCE_S = 60.0


class LinuxAccounts:
    """Needs root. ``home_root`` is where the homes go.

    ``data_dir`` is the agent's: a second agent on this host (an evaluation beside the real one) has accounts of its
    own, and must not wipe those that only the first one's server knows of.
    """

    def __init__(self, data_dir: Path, home_root: Path = Path("/home")) -> None:
        self._home_root = home_root
        self._comment = f"{GECOS} {sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]}"

    def ensure(self, spec: AccountSpec) -> AccountIdentity:
        """Create the account with a locked password and a home of mode 0700."""
        name = validated_name(spec.name)
        entry = _passwd(name)
        if entry is None:
            _run(_useradd(name, self._home_root / name, self._comment))
            entry = _passwd(name)
        if entry is None or not self._is_ours(entry):
            raise AccountError(
                f"account {name!r} exists on this host and is not RemoteGPU's "
                f"(comment {entry.pw_gecos if entry else ''!r}); rename or remove it"
            )
        home = Path(entry.pw_dir)
        home.mkdir(mode=0o700, exist_ok=True)
        home.chmod(0o700)
        return _identity(entry)

    def lookup(self, name: str) -> AccountIdentity | None:
        """The passwd entry, if it is one of ours."""
        entry = _passwd(validated_name(name))
        return _identity(entry) if entry is not None and self._is_ours(entry) else None

    def names(self) -> list[str]:
        """Accounts in passwd that carry our comment."""
        return sorted(entry.pw_name for entry in pwd.getpwall() if self._is_ours(entry))

    def remove(self, name: str) -> WipeProof:
        """Kill, delete files, delete the account, look again.

        The passwd entry goes last: until then a crashed wipe finds the uid again and starts over.
        """
        entry = _passwd(validated_name(name))
        if entry is None:
            return WipeProof(name, _home_remains(self._home_root / name))
        if not self._is_ours(entry):
            return WipeProof(name, [f"account {name!r} is not RemoteGPU's (comment {entry.pw_gecos!r})"])
        home = Path(entry.pw_dir)
        processes.kill_all(lambda pid: entry.pw_uid in processes.uids_of(pid))
        left = remains.delete_home(home) + remains.delete_files_of(entry.pw_uid, name)
        if not left:
            left = _delete_entry(name)
        return WipeProof(name, left + _proof(name, entry.pw_uid, home))

    def _is_ours(self, entry: pwd.struct_passwd) -> bool:
        return entry.pw_gecos.split(",")[0] == self._comment


def _proof(name: str, uid: int, home: Path) -> list[str]:
    """Everything that would show the account is not gone."""
    found = [
        processes.describe(pid)
        for pid in processes.pids()
        if uid in processes.uids_of(pid) and not processes.is_zombie(pid)
    ]
    found += remains.files_of(uid) + _home_remains(home)
    if _passwd(name) is not None:
        found.append(f"account {name!r} is still in passwd")
    return list(dict.fromkeys(found))


def _home_remains(home: Path) -> list[str]:
    return [f"{home} exists"] if home.exists() or home.is_symlink() else []


def _delete_entry(name: str) -> list[str]:
    try:
        _run(["userdel", "--force", name])
    except AccountError as error:
        return [str(error)]
    return []


def _useradd(name: str, home: Path, comment: str) -> list[str]:
    groups = [group.gr_name for group in grp.getgrall() if group.gr_name in DEVICE_GROUPS]
    membership = ["--groups", ",".join(sorted(groups))] if groups else []
    return [
        "useradd",
        *("--create-home", "--home-dir", str(home), "--user-group", "--shell", "/bin/bash"),
        *("--comment", comment, *membership, name),
    ]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PROGRAM_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccountError(f"`{command[0]}` could not be run: {error}") from error
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip() or "nothing"
        raise AccountError(f"`{' '.join(command)}` exited with {done.returncode}, saying: {said}")


def _passwd(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _identity(entry: pwd.struct_passwd) -> AccountIdentity:
    return AccountIdentity(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir))
