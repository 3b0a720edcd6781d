"""The test bed: a Docker engine, and the product's images on bases that are here. Each is had once per run."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack.engine import ROOT, Engine, NoEngineError, alone, running_engine
from stack.standins.build import provide

RELEASE = "v1.0.0"
AGENT = "remotegpu-test-agent"
FIRST_RUN_S = 900
"""The first test waits for every image to be built; with them here, it waits for seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(FIRST_RUN_S))


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Also set in this process's environment, where the product's commands find it. Skips where none can be had."""
    try:
        with running_engine() as found, pytest.MonkeyPatch.context() as patch:
            for name, value in found.environment.items():
                patch.setenv(name, value)
            yield found
    except NoEngineError as error:
        pytest.skip(str(error))


@dataclass(frozen=True)
class Images:
    """``report``: what scripts/images.py said it made. ``agent``: a GPU host in a container."""

    release: str
    report: dict[str, dict[str, object]]
    agent: str

    @property
    def backend(self) -> str:
        return f"remotegpu-backend:{self.release}"

    @property
    def frontend(self) -> str:
        return f"remotegpu-frontend:{self.release}"

    @property
    def postgresql(self) -> str:
        return f"remotegpu-postgresql:{self.release}"


@pytest.fixture(scope="session")
def stand_ins(engine: Engine) -> None:
    """The published images that the product is built and run with, or what stands in for them."""
    with alone():
        provide(engine)


@pytest.fixture(scope="session")
def images(engine: Engine, stand_ins: None) -> Images:  # noqa: ARG001 - they must be there first
    """The product's images as ``v1.0.0``, from this very source."""
    with alone():
        report = build_release(engine, RELEASE)
        build_agent(engine)
    return Images(RELEASE, {image["name"]: image for image in report["images"]}, AGENT)


def build_release(engine: Engine, version: str, *options: str) -> dict[str, list[dict[str, str]]]:
    """What ``make images VERSION=…`` does, on the network of this machine: there its mirrors answer."""
    command = [
        sys.executable,
        "scripts/images.py",
        "--json",
        "--network=host",
        f"--version={version}",
        *options,
    ]
    environment = {**engine.environment, **mirrors()}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def build_agent(engine: Engine) -> None:
    arguments = [f"--build-arg={name}={value}" for name, value in mirrors().items() if name.startswith("PIP")]
    file = ROOT / "tests/stack/standins/agent/Dockerfile"
    engine.docker("build", "--network=host", f"--file={file}", f"--tag={AGENT}", *arguments, str(ROOT))


def mirrors() -> dict[str, str]:
    """Package indexes that this machine is set up for and that a build can reach."""
    found = {name: os.environ.get(name, "") for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")}
    found["NPM_CONFIG_REGISTRY"] = os.environ.get("NPM_CONFIG_REGISTRY", "")
    return {name: value for name, value in found.items() if value.startswith(("http://", "https://"))}
