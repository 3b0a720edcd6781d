"""``remotegpu site`` as it is typed."""

import json
from pathlib import Path

import pytest

from remotegpu.cli.main import run


def test_a_new_site_is_right_and_a_spoilt_one_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "remotegpu.yaml"
    given = ["--name", "acme", "--domain", "gpu.example.com", "--version", "v1.0.0", "--config", str(path)]
    assert run(["site", "init", *given]) == 0
    assert "remotegpu site check" in capsys.readouterr().out
    assert run(["site", "check", "--config", str(path)]) == 0
    assert "no problems" in capsys.readouterr().out
    assert run(["site", "init", *given]) == 2
    assert "found one already" in capsys.readouterr().err
    path.write_text(path.read_text().replace("v1.0.0", "latest"))
    assert run(["site", "check", "--config", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "release.version: found latest, expected vX.Y.Z or main-<commit>" in printed.err
    assert run(["site", "check", "--config", str(path), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert [(each["key"], each["found"]) for each in report["problems"]] == [("release.version", "latest")]


def test_json_says_what_was_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "remotegpu.yaml"
    given = ["--name", "acme", "--domain", "gpu.example.com", "--version", "v1.0.0", "--config", str(path)]
    assert run(["site", "init", *given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": str(path)}
    assert run(["site", "check", "--config", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["problems"]) == (True, [])
    assert all(finding["waived"] for finding in found["benchmark"])
