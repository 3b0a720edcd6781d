"""A site of the tests' own, as an operator runs it: by the command line, on a real engine."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from remotegpu.site.config.versions import image_of
from remotegpu.site.journal import Entry, Journal
from stack.engine import ROOT, Engine
from stack.site.door import Door
from stack.standins.build import LABEL

STAND_IN_NGINX = "nginx:1.26.3"
"""What a stand-in really is: the bundle then leaves out what only newer ones know."""
SUBNETS = IPv4Network("172.31.0.0/16")
SETTINGS: Mapping[str, Mapping[str, object]] = {
    "release": {"start_seconds": 45, "watch_seconds": 2, "drain_seconds": 2},
    "network": {"requests_per_second": 2000},
}
PARENT = Path("/var/tmp")
COMMAND_S = 300


@dataclass(frozen=True)
class Done:
    """How a command ended. ``said``: its standard error, which is for people; ``output``: what is for programs."""

    code: int
    output: str
    said: str
    seconds: float

    @property
    def json(self) -> Any:  # Any: the command's own JSON
        return json.loads(self.output)


@dataclass(frozen=True)
class Site:
    """``root``: the operator's directory, with ``remotegpu.yaml`` and ``secrets/``; ``directory``: where it runs.

    ``number``: of this run; it marks versions, so that runs beside this one find no image of ours under their names.
    """

    engine: Engine
    root: Path
    number: int
    http_port: int
    https_port: int
    subnet: str
    environment: dict[str, str] = field(repr=False)

    @property
    def name(self) -> str:
        return f"t{self.number}"

    @property
    def project(self) -> str:
        return f"remotegpu-{self.name}"

    @property
    def domain(self) -> str:
        return f"{self.name}.gpu.example.com"

    @property
    def url(self) -> str:
        return f"https://{self.domain}:{self.https_port}"

    @property
    def config(self) -> Path:
        return self.root / "remotegpu.yaml"

    @property
    def directory(self) -> Path:
        return self.root / "site"

    @property
    def authority(self) -> Path:
        return self.root / "secrets/ca.pem"

    @property
    def door(self) -> Door:
        return Door(self.domain, self.https_port, self.authority)

    def version(self, patch: int) -> str:
        return f"v{self.number}.0.{patch}"

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "remotegpu.cli.main", "site", *arguments, f"--config={self.config}"]

    def try_to(self, *arguments: str) -> Done:
        """A command of ``remotegpu site``, however it ends."""
        return self.finish(self.start(self.argv(*arguments)))

    def do(self, *arguments: str) -> Done:
        """One that must end well."""
        done = self.try_to(*arguments)
        assert done.code == 0, (
            f"`site {' '.join(arguments)}` ended with {done.code}:\n{done.said}{done.output}"
        )
        print(f"site {' '.join(arguments)}: {done.seconds:.1f} s")  # noqa: T201 - what a run took
        return done

    def start(self, argv: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            argv, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def finish(self, process: subprocess.Popen[str]) -> Done:
        began = time.monotonic()
        try:
            output, said = process.communicate(timeout=COMMAND_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Done(process.returncode, output, said, time.monotonic() - began)

    def compose(self, *arguments: str, check: bool = True) -> str:
        file = self.directory / "docker-compose.prod.yml"
        return self.engine.docker("compose", f"--file={file}", *arguments, check=check).stdout

    def psql(self, statement: str) -> str:
        psql = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "remotegpu")
        return self.compose("exec", "--no-TTY", "postgresql", *psql, "-c", statement).strip()

    def counts(self) -> dict[str, int]:
        """Rows by table, of what people made."""
        tables = ("users", "customers", "machines", "allocations", "tasks")
        rows = self.psql(";".join(f"SELECT count(*) FROM {table}" for table in tables)).split()
        return dict(zip(tables, map(int, rows), strict=True))

    def releases(self) -> list[dict[str, Any]]:
        return self.do("releases", "--json").json

    def journal(self) -> list[Entry]:
        return Journal(self.directory).entries()

    def serving(self) -> dict[str, Any]:
        (current,) = [release for release in self.releases() if release["serves"]]
        return current

    def bring(self, version: str) -> None:
        """Have ``version`` serve; what serves it already stays."""
        if self.serving()["version"] == version:
            return
        known = {release["version"] for release in self.releases()}
        self.do("rollback", version) if version in known else self.do("deploy", version, "--no-backup")

    @contextmanager
    def configured(self, **changes: Mapping[str, object]) -> Generator[None]:
        """With other settings for a while."""
        before = self.config.read_text(encoding="utf-8")
        write_settings(self.config, changes)
        try:
            yield
        finally:
            self.config.write_text(before, encoding="utf-8")

    def containers(self) -> list[str]:
        """Ids of the site's own."""
        return self.engine.docker(
            "ps", "--all", "--quiet", f"--filter=label=com.docker.compose.project={self.project}"
        ).stdout.split()

    def secret(self, name: str) -> list[str]:
        return (self.root / "secrets" / name).read_text(encoding="utf-8").split("\n")


def write_settings(path: Path, changes: Mapping[str, Mapping[str, object]]) -> None:
    yaml = YAML()
    document = yaml.load(path.read_text(encoding="utf-8"))
    for section, values in changes.items():
        document[section].update(values)
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)


@contextmanager
def new_site(engine: Engine) -> Generator[Site]:
    """Initialised, not deployed. Everything of it is removed at the end."""
    number = 1000 + secrets.randbelow(9000)
    root = Path(tempfile.mkdtemp(prefix=f"remotegpu-t{number}-", dir=PARENT))
    root.chmod(0o755)
    environment = {**engine.environment, "PYTHONPATH": f"{ROOT}/src:{ROOT}/tests"}
    site = Site(engine, root, number, free_port(), free_port(), free_subnet(engine), environment)
    try:
        initialise(site)
        yield site
    finally:
        if not os.environ.get("KEEP_SITE"):
            remove(site)


def initialise(site: Site) -> None:
    site.do("init", f"--name={site.name}", f"--domain={site.domain}", f"--version={site.version(0)}")
    own = {
        "site": {"directory": str(site.directory)},
        "network": {
            "http_port": site.http_port,
            "https_port": site.https_port,
            "subnet": site.subnet,
            **SETTINGS["network"],
        },
        "release": SETTINGS["release"],
        "images": honest_images(site.engine),
    }
    write_settings(site.config, own)
    site.do("check")


def honest_images(engine: Engine) -> dict[str, object]:
    """By component, where the image under the published name is a stand-in of another version."""
    published = image_of("nginx", {})
    label = f'--format={{{{index .Config.Labels "{LABEL}"}}}}'
    if not engine.docker("image", "inspect", label, published).stdout.strip():
        return {}
    engine.docker("tag", published, STAND_IN_NGINX)
    return {"nginx": STAND_IN_NGINX}


def remove(site: Site) -> None:
    engine = site.engine
    if (site.directory / "docker-compose.prod.yml").exists():
        site.compose("--profile=tools", "down", "--volumes", "--remove-orphans", "--timeout=1", check=False)
    shown = engine.docker("image", "ls", "--format={{.Repository}}:{{.Tag}}").stdout.split()
    ours = [tag for tag in shown if re.search(rf":.*\bv{site.number}\.0\.", tag)]
    if ours:
        engine.docker("image", "rm", *ours, check=False)
    shutil.rmtree(site.root, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_subnet(engine: Engine) -> str:
    """A /22 that no network of the engine overlaps."""
    ids = engine.docker("network", "ls", "--quiet").stdout.split()
    template = "{{range .IPAM.Config}}{{.Subnet}} {{end}}"
    taken = [
        IPv4Network(text)
        for text in engine.docker("network", "inspect", f"--format={template}", *ids).stdout.split()
        if ":" not in text
    ]
    free = [one for one in SUBNETS.subnets(new_prefix=22) if not any(one.overlaps(each) for each in taken)]
    return str(secrets.choice(free))
