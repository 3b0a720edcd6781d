"""The backup before a change: one that is here does, whatever another place says; without one nothing is changed."""

import os
from pathlib import Path

import pytest

from remotegpu.site.commands.compose import Compose
from remotegpu.site.deploying import safety
from remotegpu.site.deploying.deployment import DeployError
from remotegpu.site.runner import CommandError

MADE = '{\n  "ok": true,\n  "backups": [\n    {\n      "id": "20261124T120000Z-abcdef"\n    }\n  ]\n}'
ELSEWHERE = MADE.replace('"ok": true', '"ok": false,\n  "error": "database: the bucket cannot be listed"')


def back_up(site: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int) -> str:
    """By an engine whose ``backup`` container says that."""
    docker = site / "docker"
    (site / "said").write_text(said)
    docker.write_text(f"#!/bin/sh\necho 'dumping remotegpu, 8 MiB'\ncat {site}/said\nexit {code}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{site}:{os.environ['PATH']}")
    return safety.back_up(Compose(site), "before v2")


def test_a_backup_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert back_up(tmp_path, monkeypatch, MADE, 0) == "20261124T120000Z-abcdef"


def test_one_that_could_not_be_sent_off_site_does_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = back_up(tmp_path, monkeypatch, ELSEWHERE, 1)
    assert said == "20261124T120000Z-abcdef; warning: database: the bucket cannot be listed"


@pytest.mark.parametrize(
    "said", ['{"ok": false, "error": "no room"}', '{"ok": false, "error": "no room", "backups": []}']
)
def test_without_one_nothing_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    with pytest.raises(DeployError, match="the database was not backed up: no room"):
        back_up(tmp_path, monkeypatch, said, 1)


def test_a_container_that_does_not_answer_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match="is not running"):
        back_up(tmp_path, monkeypatch, 'service "backup" is not running', 1)
