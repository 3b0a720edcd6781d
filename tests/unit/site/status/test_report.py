"""What the command says: the headline, the order, the exit status; and what a site without a deployment hears."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remotegpu.cli.main import run
from remotegpu.cli.site.status import show
from remotegpu.site.status.items import Item, Level, Report, lines

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def report(*levels: Level) -> Report:
    items = [Item(name=f"thing {number}", level=level, found="so") for number, level in enumerate(levels)]
    return Report(site="acme", at=NOON, items=tuple(items))


@pytest.mark.parametrize(
    ("levels", "headline", "is_well"),
    [
        (("ok", "ok"), "acme is well", True),
        (("ok", "warning"), "acme is well, with 1 warning", True),
        (("problem", "problem", "warning"), "acme is not well: 2 problems, 1 warning", False),
        (("unknown", "ok"), "acme is not well: 1 unknown", False),
        (("unknown", "warning", "problem"), "acme is not well: 1 problem, 1 warning, 1 unknown", False),
    ],
)
def test_the_first_line_says_it(levels: tuple[Level, ...], headline: str, is_well: bool) -> None:
    found = report(*levels)
    assert (found.headline, found.is_well) == (headline, is_well)


def test_the_worst_comes_first_and_what_is_well_together(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("nginx", "worker", "redis")
    group = [
        Item(name=f"container {name}", level="ok", found="healthy", group="containers") for name in names
    ]
    down = Item(
        name="container rustfs", level="problem", found="exited", remedy="Read its log.", group="containers"
    )
    late = Item(name="drill", level="warning", found="none yet")
    found = Report(site="acme", at=NOON, items=(*group, late, down))
    assert [item.name for item in lines(found)] == ["container rustfs", "drill", "containers"]
    show(found)
    assert capsys.readouterr().out == (
        "acme is not well: 1 problem, 1 warning\n"
        "\n"
        "problem  container rustfs  exited\n"
        "                           -> Read its log.\n"
        "warning  drill             none yet\n"
        "ok       containers        3: nginx, worker, redis\n"
    )


def test_a_site_that_was_never_deployed_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    path = tmp_path / "remotegpu.yaml"
    given = ["--name", "acme", "--domain", "gpu.example.com", "--version", "v1.0.0", "--config", str(path)]
    assert run(["site", "init", *given]) == 0
    text = path.read_text().replace("/opt/remotegpu", str(tmp_path / "site")).replace("443", "1")
    path.write_text(text)
    capsys.readouterr()
    assert run(["site", "status", "--config", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    levels = {item["name"]: item["level"] for item in found["items"]}
    assert (found["ok"], found["site"]) == (False, "acme")
    assert levels["release"] == "problem"
    assert levels["front door"] == "problem"
    assert levels["containers"] == "unknown"
    assert levels["wal archive"] == "unknown"
    assert levels["secrets"] == "ok"
    assert all(item["remedy"] for item in found["items"] if item["level"] in {"problem", "unknown"})


def test_a_file_that_cannot_be_used_is_another_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["site", "status", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "remotegpu site init" in capsys.readouterr().err
