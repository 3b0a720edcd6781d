"""Downloads are compared before they get their name."""

import hashlib
import json
from pathlib import Path

import pytest
from aiohttp import web

from remotegpu.cli.main import run

from .conftest import StubServer

TASK_ID = "22222222-2222-4222-8222-222222222222"
CONTENT = b"weights" * 100_000


def offer(server: StubServer, path: str, sha256: str | None = None) -> None:
    digest = sha256 or hashlib.sha256(CONTENT).hexdigest()
    row = {"id": "a1", "path": path, "size_bytes": len(CONTENT), "sha256": digest}
    server.reply("GET", f"/tasks/{TASK_ID}/artifacts", {"items": [row]})
    link = {
        "url": f"{server.url}/bucket/a1?signature=s",
        "sha256": digest,
        "size_bytes": len(CONTENT),
        "path": path,
    }
    server.reply("GET", "/artifacts/a1/download", link)
    server.routes["GET", "/bucket/a1"] = lambda _request, _body: web.Response(body=CONTENT)


def test_artifact_is_written_below_the_folder(
    signed_in: StubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(signed_in, "checkpoints/结果.npz")
    assert run(["artifacts", "get", TASK_ID, "-o", str(tmp_path), "--json"]) == 0
    (written,) = json.loads(capsys.readouterr().out)
    assert written["path"] == str(tmp_path / "checkpoints/结果.npz")
    assert (tmp_path / "checkpoints/结果.npz").read_bytes() == CONTENT
    assert signed_in.requests[-1][3] == ""  # the object store gets no token of ours


def test_wrong_checksum_leaves_nothing_behind(
    signed_in: StubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(signed_in, "result.npz", sha256="0" * 64)
    assert run(["artifacts", "get", TASK_ID, "-o", str(tmp_path / "out")]) == 1
    assert "SHA-256" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../b", "."])
def test_path_that_leaves_the_folder_is_refused(
    signed_in: StubServer, tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(signed_in, path)
    assert run(["artifacts", "get", TASK_ID, "-o", str(tmp_path / "out")]) == 1
    assert "artifact path" in capsys.readouterr().err
    assert not (tmp_path / "evil").exists()


def test_unknown_artifact_lists_the_known(
    signed_in: StubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(signed_in, "result.npz")
    assert run(["artifacts", "get", TASK_ID, "model.bin", "-o", str(tmp_path)]) == 1
    assert "expected: result.npz" in capsys.readouterr().err
