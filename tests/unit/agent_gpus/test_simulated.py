"""Simulated GPUs: labelled, stable and repeatable."""

import pytest

from remotegpu.agent.gpus import NoGpus, SimulatedGpus, open_gpus


def _gpus(count: int = 4, seed: str = "gpu-host-1", at: float = 1_800_000_000.0) -> SimulatedGpus:
    return SimulatedGpus(count, seed=seed, clock=lambda: at)


def test_they_say_that_they_are_simulated() -> None:
    for gpu in _gpus().facts():
        assert gpu.simulated
        assert gpu.uuid.startswith("SIM-")
        assert "simulated" in gpu.model.lower()


def test_uuids_are_stable_per_host_and_differ_between_hosts_and_gpus() -> None:
    here = [gpu.uuid for gpu in _gpus(seed="a").facts()]
    assert here == [gpu.uuid for gpu in _gpus(seed="a").facts()]
    assert not set(here) & {gpu.uuid for gpu in _gpus(seed="b").facts()}
    assert len(set(here)) == 4


def test_figures_follow_the_clock_and_nothing_else() -> None:
    assert _gpus(at=1000.0).samples() == _gpus(at=1000.0).samples()
    assert _gpus(at=1000.0).samples() != _gpus(at=1020.0).samples()


def test_figures_stay_plausible_over_an_hour() -> None:
    utilizations: list[float] = []
    for second in range(0, 3600, 7):
        for gpu in _gpus(at=1_800_000_000.0 + second).samples():
            assert gpu.utilization_ratio is not None
            assert 0 <= gpu.utilization_ratio <= 1
            assert gpu.memory_used_bytes is not None
            assert gpu.memory_total_bytes is not None
            assert 0 < gpu.memory_used_bytes <= gpu.memory_total_bytes
            assert gpu.power_watts is not None
            assert gpu.power_limit_watts is not None
            assert 50 <= gpu.power_watts <= gpu.power_limit_watts
            assert gpu.temperature_celsius is not None
            assert 25 <= gpu.temperature_celsius <= 90
            utilizations.append(gpu.utilization_ratio)
    assert max(utilizations) - min(utilizations) > 0.5, "a flat line is not what a gauge should show"


@pytest.mark.parametrize("count", [0, -1, 65])
def test_an_impossible_count_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=str(count)):
        SimulatedGpus(count, seed="x", clock=lambda: 0.0)


def test_opening_refuses_a_negative_count() -> None:
    with pytest.raises(ValueError, match="-2"):
        open_gpus(-2)


def test_a_host_without_nvml_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remotegpu.agent.gpus.nvml_is_installed", lambda: False)
    gpus = open_gpus(0)
    assert isinstance(gpus, NoGpus)
    assert (gpus.facts(), gpus.samples(), gpus.driver()) == ([], [], (None, None))
