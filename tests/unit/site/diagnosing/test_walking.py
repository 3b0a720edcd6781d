"""From steps to a conclusion and a bundle: one after the other, whatever fails, and without a single secret."""

import io
import json
import stat
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remotegpu.cli.main import run
from remotegpu.cli.site.diagnose import show
from remotegpu.kit.redaction import redactor
from remotegpu.site import secrets
from remotegpu.site.config.model import S3, Components, Config, Release, Site
from remotegpu.site.diagnosing import agent, asking, backend, database, evidence
from remotegpu.site.diagnosing.steps import Answer, Diagnosis, Finding, Step, Verdict, conclude
from remotegpu.site.diagnosing.walking import walk
from remotegpu.site.place import Place
from remotegpu.site.runner import Command

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRET = "0123456789abcdef-a-real-secret"


def step(name: str, *argv: str, judge=None, keep=None) -> Step:
    def well(answer: Answer) -> Verdict:
        return Verdict("ok" if answer.code == 0 else "problem", answer.output.strip(), "it", "do")

    return Step(name=name, question=f"{name}?", command=Command(argv=argv), judge=judge or well, keep=keep)


def test_each_step_is_taken_though_one_before_failed_and_sees_what_was_said_earlier() -> None:
    def sees(answer: Answer) -> Verdict:
        return Verdict("ok", answer.earlier["first"].strip() + "|" + answer.output.strip())

    said: list[tuple[str, str]] = []
    steps = [
        step("first", "echo", "one"),
        step("broken", "false"),
        step("gone", "/no/such/program"),
        step("last", "echo", "two", judge=sees),
    ]
    findings = walk(steps, redactor([]), lambda *words: said.append(words))
    assert [(one.name, one.level, one.code) for one in findings] == [
        ("first", "ok", 0),
        ("broken", "problem", 1),
        ("gone", "problem", 127),
        ("last", "ok", 0),
    ]
    assert findings[-1].found == "one|two"
    assert said[:2] == [("first", "first?"), ("first", "ok: one")]


def test_no_secret_gets_into_a_finding_by_any_way() -> None:
    def echoes(answer: Answer) -> Verdict:
        return Verdict("problem", answer.output, answer.output, "do")

    (finding,) = walk([step("leak", "echo", SECRET, judge=echoes)], redactor([SECRET]), lambda *_: None)
    assert SECRET not in repr(finding)
    assert finding.output == "***\n"


def finding(name: str, level: str, cause: str = "", *, is_symptom: bool = False) -> Finding:
    return Finding(
        name=name,
        question=f"{name}?",
        command=f"look at {name}",
        code=0,
        seconds=0.1,
        level=level,  # type: ignore[arg-type]
        found="so",
        cause=cause,
        next_step=f"mend {name}" if cause else "",
        is_symptom=is_symptom,
        output=f"{name} said\n",
    )


def test_the_first_problem_is_the_likely_cause_and_a_warning_only_without_one() -> None:
    warned, ill, worse = (
        finding("a", "warning", "A"),
        finding("b", "problem", "B"),
        finding("c", "problem", "C"),
    )
    assert conclude([warned, ill, worse], "else") == ("B", "mend b")
    silent = finding("s", "problem", "S", is_symptom=True)
    assert conclude([silent, ill], "else") == ("B", "mend b")
    assert conclude([warned, silent], "else") == ("S", "mend s")
    assert conclude([warned, finding("d", "ok")], "else") == ("A", "mend a")
    assert conclude([finding("d", "ok")], "else") == ("not found: every step came out well", "else")
    assert conclude([finding("d", "unknown")], "else") == (
        "not found; these could not be looked at: d",
        "else",
    )


DIAGNOSIS = Diagnosis(
    site="acme",
    handbook="agent",
    about="gpu-07",
    at=NOON,
    findings=(finding("machine", "problem", "silent"), finding("open work", "ok")),
    likely_cause="silent",
    next_step="mend machine",
    on_the_host=("nvidia-smi",),
)


def test_the_bundle_holds_every_output_and_an_index_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / evidence.file_name(DIAGNOSIS)
    assert path.name == "remotegpu-acme-agent-20261124T120000Z.tar.gz"
    evidence.write(path, DIAGNOSIS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        content = {info.name: archive.extractfile(info).read().decode() for info in archive}  # type: ignore[union-attr]
    assert content["acme-agent/01-machine.txt"] == "machine said\n"
    assert content["acme-agent/02-open-work.txt"] == "open work said\n"
    index = json.loads(content["acme-agent/index.json"])
    assert (index["likely_cause"], index["on_the_host"]) == ("silent", ["nvidia-smi"])
    assert [one["file"] for one in index["findings"]] == ["01-machine.txt", "02-open-work.txt"]
    assert all("output" not in one for one in index["findings"])
    with pytest.raises(FileExistsError, match="--output"):
        evidence.write(path, DIAGNOSIS)


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show(DIAGNOSIS, Path("x.tar.gz"))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "RESULT   STEP       FOUND",
        "problem  machine    so",
        "ok       open work  so",
        "",
        "Likely cause  silent",
        "Next step     mend machine",
        "On the host",
        "    nvidia-smi",
        "Evidence      x.tar.gz",
    ]


def handbook_steps(config: Config) -> list[Step]:
    site = asking.Site(Place(config, Path("/etc/remotegpu/remotegpu.yaml")), None, NOON)
    return [*backend.steps(site), *database.steps(site), *agent.steps(site, "x'; DROP TABLE machines; --")]


def test_no_step_changes_anything_and_a_name_is_never_part_of_a_query() -> None:
    config = Config(site=Site(name="acme", domain="gpu.example.com"), release=Release(version="v1.0.0"))
    reading = {"ps", "logs", "exec", "inspect", "version", "stats", "container", "compose", "--file"}
    for one in handbook_steps(config):
        words = one.command.argv
        if words[0] == "docker":
            verb = words[4] if words[1] == "compose" else words[1]
            assert verb in reading, words
        else:
            assert words[0] in {"df", "cat", "tail"}, words
        assert not {"restart", "up", "rm", "stop", "kill", "run", "down"} & set(words), words
        assert b"DROP" not in one.command.stdin
        if "psql" in words:
            assert any("default_transaction_read_only=on" in word for word in words)


def test_a_site_with_a_bucket_elsewhere_is_not_asked_for_its_own() -> None:
    store = S3(endpoint="https://s3", bucket="gpu", access_key_file="/a", secret_key_file="/s")
    config = Config(
        site=Site(name="acme", domain="gpu.example.com"),
        release=Release(version="v1.0.0"),
        components=Components(rustfs=False),
        object_store=store,
    )
    assert "objects" not in {one.name for one in handbook_steps(config)}


def test_a_dead_engine_is_the_cause_and_the_bundle_has_no_secret_of_the_site(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    path, bundle = tmp_path / "remotegpu.yaml", tmp_path / "evidence.tar.gz"
    given = ["--name", "acme", "--domain", "gpu.example.com", "--version", "v1.0.0", "--config", str(path)]
    assert run(["site", "init", *given]) == 0
    leaked = secrets.read(tmp_path, "jwt_secret")[0]
    path.write_text(path.read_text().replace("/opt/remotegpu", str(tmp_path / "site")) + f"# {leaked}\n")
    capsys.readouterr()
    asked = ["site", "diagnose", "backend", "--config", str(path), "--output", str(bundle), "--json"]
    assert run(asked) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["handbook"], said["bundle"]) == (False, "backend", str(bundle))
    assert said["likely_cause"].startswith("Docker does not answer")
    assert said["findings"][0]["name"] == "engine"
    with tarfile.open(fileobj=io.BytesIO(bundle.read_bytes())) as archive:
        texts = {info.name: archive.extractfile(info).read().decode() for info in archive}  # type: ignore[union-attr]
    (configuration,) = [text for name, text in texts.items() if name.endswith("configuration.txt")]
    assert "# ***" in configuration
    for secret in secrets.CATALOGUE:
        if secret.kind != "role":
            for line in secrets.read(tmp_path, secret.name):
                assert not any(line in text for text in texts.values()), secret.name
    assert run(asked) == 1
    assert "already" in json.loads(capsys.readouterr().out)["error"]
