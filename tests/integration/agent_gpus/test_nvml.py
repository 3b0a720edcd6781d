"""The real NVML path, against a fake ``libnvidia-ml.so.1`` that is compiled here.

The library is loaded once per process by name, so each scenario runs in a process of its own.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_SOURCE = Path(__file__).with_name("fake_nvml.c")
_PRELUDE = """
import json, os, pathlib, sys
import msgspec
from remotegpu.agent.gpus import GpuError, NoGpus, NvmlGpus, open_gpus

mode = pathlib.Path(os.environ["FAKE_NVML_MODE"])
def plain(value):
    return msgspec.to_builtins(value)
gpus = open_gpus(0)
"""

Scenario = Callable[[str], Any]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler (cc): the NVML path is not exercised; install gcc to include it")
    folder = tmp_path_factory.mktemp("nvml")
    output = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", output, _SOURCE], check=True)
    return folder


@pytest.fixture
def scenario(library: Path, tmp_path: Path) -> Scenario:
    """Runs a few lines with the fake driver and returns what they put into ``result``."""
    mode = tmp_path / "mode"
    mode.write_text("ok")
    environment = os.environ | {"LD_LIBRARY_PATH": str(library), "FAKE_NVML_MODE": str(mode)}

    def run(body: str) -> Any:
        code = f"{_PRELUDE}\n{body}\nprint(json.dumps(result))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_facts_of_real_gpus(scenario: Scenario) -> None:
    result = scenario("result = [type(gpus).__name__, gpus.driver(), plain(gpus.facts())]")
    kind, driver, facts = result
    assert kind == "NvmlGpus"
    assert driver == ["550.54.15", "12.4"]
    assert [gpu["uuid"] for gpu in facts] == [
        "GPU-00000000-2222-3333-4444-555555555555",
        "GPU-11111111-2222-3333-4444-555555555555",
    ]
    assert facts[0]["model"] == "NVIDIA H100 80GB HBM3"
    assert facts[0]["memory_bytes"] == 85520809984
    assert (facts[0]["vbios"], facts[0]["pcie_generation"], facts[0]["pcie_width"]) == (
        "96.00.74.00.01",
        5,
        16,
    )
    assert not any(gpu["simulated"] for gpu in facts)
    # "N/A" and all-bits-set are NVML's ways to say nothing.
    assert (facts[1]["vbios"], facts[1]["pcie_width"]) == (None, None)


def test_figures_are_converted_and_unsupported_ones_are_none(scenario: Scenario) -> None:
    healthy, worn = scenario("result = plain(gpus.samples())")
    assert healthy == {
        "index": 0,
        "uuid": "GPU-00000000-2222-3333-4444-555555555555",
        "utilization_ratio": 0.87,
        "memory_used_bytes": 3500000000,
        "memory_total_bytes": 85520809984,
        "temperature_celsius": 61.0,
        "power_watts": 412.345,
        "power_limit_watts": 700.0,
        "fan_ratio": None,
        "sm_clock_hz": 1980000000,
        "ecc_uncorrected": 0,
        "remapped_rows_pending": False,
        "remapped_rows_failed": False,
        "last_xid": None,
        "processes": 2,
    }
    assert (worn["utilization_ratio"], worn["power_watts"], worn["power_limit_watts"]) == (None, None, None)
    assert (worn["memory_used_bytes"], worn["fan_ratio"], worn["processes"]) == (4000000000, 0.45, 0)
    assert (worn["ecc_uncorrected"], worn["remapped_rows_pending"]) == (3, True)


def test_an_xid_is_remembered_for_the_gpu_that_had_it(scenario: Scenario) -> None:
    first, second = scenario("result = [plain(gpus.samples()), plain(gpus.samples())]")
    assert [gpu["last_xid"] for gpu in first] == [None, 79]
    assert [gpu["last_xid"] for gpu in second] == [None, 79]


def test_a_lost_gpu_keeps_its_place_and_the_others_their_figures(scenario: Scenario) -> None:
    samples, problem = scenario(
        """
gpus.samples()
mode.write_text("gpu-lost")
lost = plain(gpus.samples())
try:
    gpus.facts()
    problem = None
except GpuError as error:
    problem = str(error)
result = [lost, problem]
"""
    )
    assert samples[0]["utilization_ratio"] == 0.87
    assert samples[1]["uuid"] == "GPU-11111111-2222-3333-4444-555555555555"
    assert samples[1]["temperature_celsius"] is None
    assert samples[1]["memory_total_bytes"] is None
    assert "GPU 1" in problem


def test_a_driver_that_disappears_is_an_error_and_coming_back_is_noticed(scenario: Scenario) -> None:
    problems, after = scenario(
        """
gpus.facts()
mode.write_text("driver-lost")
problems = []
for call in (gpus.facts, gpus.samples, gpus.driver, gpus.facts):
    try:
        call()
        problems.append(None)
    except GpuError as error:
        problems.append(str(error))
mode.write_text("ok")
result = [problems, [gpu.uuid for gpu in gpus.facts()]]
"""
    )
    assert all(problem and "NVML" in problem and "nvidia-smi" in problem for problem in problems), problems
    assert len(after) == 2


def test_a_library_without_a_driver_is_an_error_with_the_reason_not_an_empty_host(scenario: Scenario) -> None:
    problem = scenario(
        """
mode.write_text("no-driver")
try:
    result = plain(gpus.facts())
except GpuError as error:
    result = str(error)
gpus.close()
"""
    )
    assert "Driver Not Loaded" in problem


def test_simulated_gpus_are_given_even_where_real_ones_exist(scenario: Scenario) -> None:
    result = scenario("gpus = open_gpus(3)\nresult = plain(gpus.facts())")
    assert [gpu["simulated"] for gpu in result] == [True, True, True]


def test_a_sample_survives_a_lost_driver_without_gpu_figures(scenario: Scenario) -> None:
    result = scenario(
        """
from remotegpu.agent.inventory import sample
mode.write_text("driver-lost")
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as log:
    figures = sample(gpus, lambda: 1000.0)
result = [plain(figures), log.getvalue()]
"""
    )
    figures, log = result
    assert figures["taken_at"] == 1000.0
    assert figures["gpus"] == []
    assert figures["memory_total_bytes"] > 0
    assert "gpu_sample_failed" in log
