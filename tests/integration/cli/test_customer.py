"""A customer's day on the command line, against the whole platform, with the real OpenSSH."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import Laptop, Site

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client on PATH"),
]


def test_whoami_and_machines_show_what_is_mine(laptop: Laptop, site: Site) -> None:
    assert site.company.member.email in laptop.run("whoami").stdout
    rows = json.loads(laptop.run("machines", "--json").stdout)
    assert [row["name"] for row in rows] == [site.machine.name]
    table = laptop.run("machines").stdout
    assert site.machine.name in table
    assert "simulated" in table.lower()


def test_ssh_runs_a_command_and_ends_with_its_status(laptop: Laptop, site: Site) -> None:
    done = laptop.run("ssh", site.machine.name, "--", "echo $((6*7)); exit 9")
    assert done.stdout == "42\n", done.stderr
    assert done.returncode == 9


def test_ssh_carries_input_and_odd_words_untouched(laptop: Laptop, site: Site) -> None:
    text = "损失 ↓\n" * 20_000
    assert laptop.run("ssh", site.machine.name, "--", "cat", typed=text).stdout == text
    done = laptop.run("ssh", site.machine.name, "--", "printf", "%s|", "a b", "$HOME", "'")
    assert done.stdout == "a b|$HOME|'|"


def test_scp_through_the_printed_ssh_config(laptop: Laptop, site: Site, tmp_path: Path) -> None:
    block = laptop.run("ssh-config")
    assert block.returncode == 0, block.stderr
    config = tmp_path / "ssh_config"
    config.write_text(block.stdout)
    source = tmp_path / "model.bin"
    source.write_bytes(os.urandom(3_000_000))
    host = f"{site.machine.name}.remotegpu"
    for words in (["-p", str(source), f"{host}:model.bin"], [f"{host}:model.bin", str(tmp_path / "back")]):
        done = subprocess.run(
            ["scp", "-F", str(config), *words],
            env=laptop.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_run_follows_the_log_and_ends_with_the_task_s_status(laptop: Laptop, site: Site) -> None:
    done = laptop.run("run", "-m", site.machine.name, "-e", "WHO=me", "--", "echo hello $WHO; exit 5")
    assert (done.stdout, done.returncode) == ("hello me\n", 5), done.stderr


def test_python_task_s_artifacts_are_downloaded_and_compared(
    laptop: Laptop, site: Site, tmp_path: Path
) -> None:
    script = tmp_path / "make.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "out = pathlib.Path(os.environ['REMOTEGPU_OUTPUT_DIR'])\n"
        "(out / 'sub').mkdir()\n"
        "(out / 'sub/结果.bin').write_bytes(bytes(range(256)) * int(sys.argv[1]))\n"
    )
    done = laptop.run("run", "-m", site.machine.name, "--python", str(script), "--json", "--", "1000")
    assert done.returncode == 0, done.stderr
    task = json.loads(done.stdout)
    got = laptop.run("artifacts", "get", task["id"][:13], "-o", str(tmp_path / "out"))
    assert got.returncode == 0, got.stderr
    content = (tmp_path / "out/sub/结果.bin").read_bytes()
    assert hashlib.sha256(content).hexdigest() == task["artifacts"][0]["sha256"]
    assert content == bytes(range(256)) * 1000


def test_detached_task_is_listed_shown_and_its_log_followed(laptop: Laptop, site: Site) -> None:
    command = "for i in 1 2 3; do echo line $i; sleep 0.3; done"
    task = laptop.run("run", "-m", site.machine.name, "--name", "later", "-d", "--", command).stdout.strip()
    assert task[:8] in laptop.run("tasks").stdout
    followed = laptop.run("logs", task, "-f")
    assert followed.stdout == "line 1\nline 2\nline 3\n", followed.stderr
    shown = laptop.run("task", "show", task)
    assert "succeeded" in shown.stdout
    assert laptop.run("logs", task).stdout == followed.stdout


def test_ctrl_c_stops_the_task_on_its_machine(laptop: Laptop, site: Site) -> None:
    command = "trap 'echo goodbye; exit 3' TERM; echo started; while true; do sleep 0.1; done"
    with laptop.start("run", "-m", site.machine.name, "--", command) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert "goodbye" in output, errors
    assert process.returncode == 130


def test_timeout_has_its_own_status(laptop: Laptop, site: Site) -> None:
    done = laptop.run("run", "-m", site.machine.name, "--timeout", "1s", "--", "sleep 60")
    assert done.returncode == 124, done.stderr


def test_personal_access_token_works_for_scripts(laptop: Laptop, site: Site, tmp_path: Path) -> None:
    """A token from one computer signs in another."""
    credentials = json.loads((laptop.home / ".config/remotegpu/credentials.json").read_text())
    token = asyncio.run(make_token(site.url, credentials["access_token"]))
    other = Laptop(tmp_path, site.url)
    assert other.run("login", "--server", site.url, "--token-stdin", typed=f"{token}\n").returncode == 0
    assert site.company.member.email in other.run("whoami").stdout


async def make_token(url: str, access_token: str) -> str:
    import msgspec

    from remotegpu.client.api import Api
    from remotegpu.client.tokens import FixedToken

    async with Api(url, FixedToken(access_token)) as api:
        reply = await api.send("POST", "/auth/tokens", body={"name": "ci", "expires_in_days": 1})
    return str(msgspec.json.decode(reply)["token"])


def test_end_of_the_lease_ends_the_session_and_the_next_is_refused(laptop: Laptop, site: Site) -> None:
    """Runs last: it gives the machine back."""
    with laptop.start("ssh", site.machine.name, "--", "echo in; sleep 120") as session:
        assert session.stdout is not None
        assert session.stdout.readline() == "in\n"
        ended = time.monotonic()
        asyncio.run(site.end_lease())
        _, errors = session.communicate(timeout=30)
        assert time.monotonic() - ended < 30
    assert session.returncode == 255
    assert "access has ended" in errors
    refused = laptop.run("ssh", site.machine.name, "--", "true")
    assert refused.returncode == 1
    assert "no machine named" in refused.stderr
