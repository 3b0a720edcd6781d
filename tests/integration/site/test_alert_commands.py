"""``remotegpu site alerts``, and a deployment that fails: a robot hears of it, and the exit status says how it went."""

import json
from pathlib import Path

import pytest

import far_sides
from far_sides import KEY, Authority
from remotegpu.cli.main import run


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return far_sides.authority(tmp_path_factory.mktemp("authority"))


class Site:
    """Its file, with a robot called ops and one called gone that nobody answers for."""

    def __init__(self, folder: Path, trust: Authority, url: str) -> None:
        self.path = folder / "remotegpu.yaml"
        self.path.unlink(missing_ok=True)
        (folder / "ops").write_text(url)
        (folder / "gone").write_text(f"https://127.0.0.1:9/send?key={KEY}")
        given = ["--name", "acme", "--domain", "gpu.example.com", "--version", "v1.0.0"]
        given += ["--language", "zh"]
        assert self.run("init", *given) == 0
        channels = [
            {"kind": "wecom", "name": name, "url_file": f"{folder}/{name}", "ca_file": str(trust.ca)}
            for name in ("ops", "gone")
        ]
        text = self.path.read_text().replace("channels: []", f"channels: {json.dumps(channels)}")
        self.path.write_text(text.replace('"/opt/remotegpu"', str(folder / "site")))

    def run(self, *words: str) -> int:
        return run(["site", *words, "--config", str(self.path)])


def test_each_channel_is_tried_and_the_status_says_how_it_went(
    tmp_path: Path, trust: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    with far_sides.running(far_sides.wecom, trust) as robot:
        site = Site(tmp_path, trust, robot.url(f"/send?key={KEY}"))
        assert site.run("check") == 0
        (tmp_path / "ops").write_text(robot.url(f"/send?key={KEY}").replace("https", "http"))
        (tmp_path / "gone").unlink()
        assert site.run("check") == 2
        said = capsys.readouterr().err
        assert (
            f"alerts.channels[0].url_file: found something else in {tmp_path}/ops, expected one https://"
            in said
        )
        assert "alerts.channels[1].url_file: found" in said
        assert said.count("alerts.channels[1]") == 1
        assert KEY not in said
        site = Site(tmp_path, trust, robot.url(f"/send?key={KEY}"))
        capsys.readouterr()
        assert site.run("alerts", "test", "ops", "--json") == 0
        (ops,) = json.loads(capsys.readouterr().out)["channels"]
        assert (ops["channel"], ops["kind"], ops["error"]) == ("ops", "wecom", "")
        assert "通道 ops 可用" in robot.taken[0].json["markdown"]["content"]
        assert site.run("alerts", "test") == 1
        table = capsys.readouterr().out
        assert "Cannot connect to host 127.0.0.1:9" in table
        assert KEY not in table
        assert len(robot.taken) == 2


def test_a_channel_that_is_not_named_is_wrong_use(
    tmp_path: Path, trust: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path, trust, "https://127.0.0.1:9/")
    capsys.readouterr()
    assert site.run("alerts", "test", "nobody") == 2
    assert "found no alert channel nobody, expected one of ops, gone" in capsys.readouterr().err
    assert site.run("alerts", "list", "--json") == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["ops", "gone"]
    plain = tmp_path / "plain"
    plain.mkdir()
    path = str(plain / "remotegpu.yaml")
    given = ["--name", "acme", "--domain", "gpu.example.com", "--version", "v1.0.0", "--config", path]
    assert run(["site", "init", *given]) == 0
    assert run(["site", "alerts", "test", "--config", path]) == 2
    assert "Name one in alerts.channels" in capsys.readouterr().err


def test_a_deployment_that_fails_is_told_without_the_logs_of_containers(
    tmp_path: Path, trust: Authority, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from remotegpu.site.deploying.deployment import DeployError
    from remotegpu.site.verbs import deploy

    def fails(*_given: object, **_named: object) -> None:
        raise DeployError(
            "v1.0.0 did not come into service: no answer\nv0.9.0 serves.\nlog: rows of customers"
        )

    monkeypatch.setattr(deploy, "deploy", fails)
    with far_sides.running(far_sides.wecom, trust) as robot:
        site = Site(tmp_path, trust, robot.url(f"/send?key={KEY}"))
        assert site.run("deploy") == 1
        (told,) = [got.json["markdown"]["content"] for got in robot.taken]
    assert "[acme] 部署失败" in told
    assert "v0.9.0 serves." in told
    assert "customers" not in told
    shown = capsys.readouterr().err
    assert "ops was told" in shown
    assert "channel gone (wecom): found Cannot connect" in shown
    assert "v1.0.0 did not come into service" in shown
