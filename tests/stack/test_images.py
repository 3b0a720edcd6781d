"""The product's images: who they say they are, what is in them, and that they run with nothing but what they need."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stack.conftest import Images, build_release
from stack.containers import CONFINED, Container, confined
from stack.engine import ROOT, Engine
from stack.standins.build import LABEL, STAND_INS

NAMES = ("backend", "frontend", "postgresql")
USERS = {"backend": "10100:10100", "frontend": "101:101", "postgresql": "999:999"}
PACKAGES = (
    "import importlib.metadata as m; print(sorted(f'{d.name}=={d.version}' for d in m.distributions()))"
)
RELEASE_OF_THE_SAME_SOURCE_S = 15
"""Per pass of three images on two busy cores; a build that does not come from the cache takes longer."""


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def configuration(engine: Engine, image: str) -> dict[str, object]:
    (found,) = json.loads(engine.docker("image", "inspect", image).stdout)
    return found["Config"]


def image_of(images: Images, name: str) -> str:
    return f"remotegpu-{name}:{images.release}"


def test_labels_say_what_the_image_is_and_from_which_commit(
    engine: Engine, images: Images, name: str
) -> None:
    labels = configuration(engine, image_of(images, name))["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.title"] == f"remotegpu-{name}"
    assert labels["org.opencontainers.image.version"] == "v1.0.0"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])
    assert "org.opencontainers.image.source" in labels


def test_nobody_in_it_is_root_and_its_health_is_checked(engine: Engine, images: Images, name: str) -> None:
    found = configuration(engine, image_of(images, name))
    assert found["User"] == USERS[name]
    assert found["Healthcheck"]


def test_no_history_no_secret_and_no_tool_of_the_build_is_in_it(
    engine: Engine, images: Images, name: str
) -> None:
    unwanted = (
        ".git",
        ".env*",
        "*.key",
        "id_rsa*",
        "id_ed25519*",
        "uv",
        "node",
        "npm",
        "node_modules",
        "conftest.py",
    )
    names = [argument for each in unwanted for argument in ("-o", "-name", each)][1:]
    elsewhere = ["-not", "-path", "*/site-packages/*", "-not", "-path", "/usr/share/*"]
    found = engine.docker(
        *("run", "--rm", *CONFINED, "--user=0", "--entrypoint=find", image_of(images, name)),
        *("/", "-xdev", "(", *names, ")", *elsewhere),
        check=False,  # without capabilities, even root may not look everywhere
    )
    assert found.stdout.split() == []


def test_no_argument_of_the_build_stays_in_its_environment(engine: Engine, images: Images, name: str) -> None:
    environment = configuration(engine, image_of(images, name))["Env"]
    assert isinstance(environment, list)
    assert [entry for entry in environment if re.search(r"INDEX|REGISTRY|TOKEN|PASSWORD|SECRET", entry)] == []


@pytest.mark.parametrize("name", ["backend", "postgresql"])
def test_the_command_runs_confined(engine: Engine, images: Images, name: str) -> None:
    done = engine.docker(
        "run", "--rm", *CONFINED, "--entrypoint=remotegpu", image_of(images, name), "--version"
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", done.stdout.strip())


def test_the_backend_says_which_settings_it_misses(engine: Engine, images: Images) -> None:
    done = engine.docker("run", "--rm", *CONFINED, images.backend, check=False)
    assert done.returncode == 2
    assert "DB_HOST: found nothing" in done.stdout + done.stderr


def test_the_frontend_serves_the_console_confined(engine: Engine, images: Images) -> None:
    with confined(engine, images.frontend) as frontend:
        frontend.until_healthy()
        page = frontend.run("curl", "-si", "http://127.0.0.1:3000/")
        assert page.startswith("HTTP/1.1 200")
        assert "Cache-Control: no-cache" in page
        (asset,) = set(re.findall(r'src="(/assets/index-[^"]+\.js)"', page))
        script = frontend.run("curl", "-si", f"http://127.0.0.1:3000{asset}")
        assert "Cache-Control: public, max-age=31536000, immutable" in script
        deep = frontend.run("curl", "-si", "http://127.0.0.1:3000/machines/some-machine")
        assert deep.startswith("HTTP/1.1 200")
        assert '<div id="app">' in deep
        missing = frontend.run("curl", "-si", "http://127.0.0.1:3000/assets/gone-abc123.js")
        assert missing.startswith("HTTP/1.1 404")
        assert "GET /" not in frontend.log


def test_the_database_starts_confined_and_keeps_its_rows(
    engine: Engine, images: Images, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("a password of this test")
    password.chmod(0o444)
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "10-table.sql").write_text("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7);")
    scripts.chmod(0o755)
    options = (
        "--tmpfs=/var/run/postgresql:uid=999,gid=999,mode=2775",
        f"--volume={password}:/run/secrets/password:ro",
        f"--volume={scripts}:/docker-entrypoint-initdb.d:ro",
        *("--env=POSTGRES_PASSWORD_FILE=/run/secrets/password", "--env=POSTGRES_DB=remotegpu"),
    )
    tmp_path.chmod(0o755)
    with confined(engine, images.postgresql, *options) as database:
        database.until_healthy()
        read = ("psql", "-U", "postgres", "-d", "remotegpu", "-Atc", "SELECT id FROM kept")
        assert until_started(database, *read) == "7"
        engine.docker("restart", database.id)
        assert until_started(database, *read) == "7"
        assert "pgBackRest 2." in database.run("pgbackrest", "version")
        assert "redis-cli" in database.run("redis-cli", "--version")


def until_started(database: Container, *read: str) -> str:
    """The first start is healthy for a moment before its scripts ran: it then starts a second time."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done = database.engine.docker("exec", database.id, *read, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
        time.sleep(0.2)
    raise AssertionError(database.log)


def test_another_release_of_the_same_source_is_the_same_but_for_its_label(
    engine: Engine, images: Images
) -> None:
    build_release(engine, images.release)
    started = time.monotonic()
    build_release(engine, "v1.0.1")
    assert time.monotonic() - started < RELEASE_OF_THE_SAME_SOURCE_S
    for name in NAMES:
        layers = "--format={{json .RootFS.Layers}}"
        first, second = (
            engine.docker("image", "inspect", layers, f"remotegpu-{name}:{tag}").stdout
            for tag in (images.release, "v1.0.1")
        )
        assert first == second


@pytest.mark.parametrize("name", ["backend", "postgresql"])
def test_it_holds_exactly_the_locked_versions(engine: Engine, images: Images, name: str) -> None:
    """So two builds of one source hold the same."""
    done = engine.docker("run", "--rm", "--entrypoint=python3", image_of(images, name), "-c", PACKAGES)
    held = {each for each in re.findall(r"'([^']+)'", done.stdout) if not each.startswith("remotegpu==")}
    locked = set(re.findall(r"^([\w.-]+==[^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    normal = {
        re.sub(r"[-_.]+", "-", each.split("==")[0]).lower() + "==" + each.split("==")[1] for each in held
    }
    assert len(held) > 5
    assert normal - locked == set()


def test_stand_ins_say_what_they_are(engine: Engine, images: Images) -> None:
    assert images.release
    for stand_in in STAND_INS:
        for tag in stand_in.tags:
            labels = configuration(engine, tag)["Labels"] or {}
            assert isinstance(labels, dict)
            assert labels.get(LABEL, stand_in.really) == stand_in.really


def test_every_dockerfile_is_clean() -> None:
    files = [*ROOT.glob("deploy/images/*.Dockerfile"), *ROOT.glob("tests/stack/standins/*/Dockerfile")]
    assert len(files) == 3 + len(STAND_INS) + 1
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
