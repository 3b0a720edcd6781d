"""What we hand to ssh, judged by ssh itself (``ssh -G`` prints the configuration it understood)."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from remotegpu.cli.client import openssh
from remotegpu.client.errors import ClientError
from remotegpu.client.models import SshCertificate

MACHINE_ID = "11111111-1111-4111-8111-111111111111"
needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client on PATH")


def understood(arguments: list[str]) -> dict[str, str]:
    done = subprocess.run(["ssh", "-G", *arguments], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def identity_in(folder: Path) -> openssh.Identity:
    identity = openssh.Identity(folder)
    openssh.make_key_pair(identity)
    granted = SshCertificate(
        certificate="ssh-ed25519-cert-v01@openssh.com AAAA",
        account="acme-1",
        host_key="ssh-ed25519 BBBB",
        expires_at="2026-11-24T06:35:00Z",
    )
    identity.store(MACHINE_ID, granted)
    return identity


@needs_ssh
def test_ssh_understands_every_option_also_with_blanks_in_paths(tmp_path: Path) -> None:
    identity = identity_in(tmp_path / "a folder")
    chosen = openssh.options(identity, MACHINE_ID, "acme-1", ["/opt/my programs/100%/remotegpu"])
    found = understood(openssh.ssh_arguments(chosen, "gpu-1.remotegpu", [], []))
    assert found["user"] == "acme-1"
    assert found["hostkeyalias"] == MACHINE_ID
    assert found["stricthostkeychecking"] == "true"
    assert found["identityfile"] == str(identity.key)
    assert found["certificatefile"] == str(identity.certificate)
    assert found["userknownhostsfile"] == str(identity.known_hosts)
    assert found["proxycommand"] == f"'/opt/my programs/100%%/remotegpu' ssh-proxy {MACHINE_ID}"


@needs_ssh
def test_key_is_private_and_host_key_is_pinned(tmp_path: Path) -> None:
    identity = identity_in(tmp_path / "ssh")
    assert identity.key.stat().st_mode & 0o777 == 0o600
    assert identity.known_hosts.read_text() == f"{MACHINE_ID} ssh-ed25519 BBBB\n"
    assert identity.public_key.read_text().startswith("ssh-ed25519 ")


@needs_ssh
def test_config_block_fetches_the_certificate_before_it_is_read(tmp_path: Path) -> None:
    """``Match exec`` runs first and writes the file that ``Include`` then reads."""
    identity = identity_in(tmp_path / "ssh")
    included = openssh.included_config(openssh.options(identity, MACHINE_ID, "acme-1", ["remotegpu"]))
    prepare = tmp_path / "prepare"
    prepare.write_text(f"#!{sys.executable}\nopen({str(identity.config)!r}, 'w').write({included!r})\n")
    prepare.chmod(0o755)
    config = tmp_path / "config"
    config.write_text(openssh.config_block("gpu-1.remotegpu", "gpu-1", identity.config, [str(prepare)]))
    assert understood(["-F", str(config), "gpu-1.remotegpu"])["user"] == "acme-1"
    assert understood(["-F", str(config), "elsewhere.example"])["user"] != "acme-1"


def test_words_of_a_command_arrive_as_they_were_typed() -> None:
    assert openssh.remote_command(["python", "-c", "print('a b')"]) == """python -c 'print('"'"'a b'"'"')'"""
    assert openssh.remote_command(["ls | wc -l"]) == "ls | wc -l"


def test_missing_ssh_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClientError, match="openssh-client"):
        openssh.find_program("ssh")
