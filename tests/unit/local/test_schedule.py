"""Starting, restarting, giving up and stopping, decided without a process."""

from pathlib import Path

import pytest

from remotegpu.local import schedule
from remotegpu.local.plan import ServiceSpec
from remotegpu.local.schedule import RESTART_DELAYS_S, Progress


def _spec(name: str, *after: str, step: bool = False, optional: bool = False) -> ServiceSpec:
    return ServiceSpec(
        name=name, argv=[name], environment={}, directory=Path("/"), after=after, step=step, optional=optional
    )


PLAN = [
    _spec("postgres"),
    _spec("valkey"),
    _spec("migrate", "postgres", step=True),
    _spec("server", "migrate", "valkey"),
    _spec("agent", "server"),
]


def _progress(**phases: schedule.Phase) -> dict[str, Progress]:
    return {spec.name: Progress(phase=phases.get(spec.name, "waiting")) for spec in PLAN}


def _startable(progress: dict[str, Progress], now: float = 0.0) -> list[str]:
    return [spec.name for spec in PLAN if schedule.startable(spec, progress, now)]


def test_independent_services_start_together() -> None:
    assert _startable(_progress()) == ["postgres", "valkey"]


def test_a_service_waits_for_all_it_needs() -> None:
    assert _startable(_progress(postgres="ready", valkey="starting", migrate="done")) == []
    assert _startable(_progress(postgres="ready", valkey="ready", migrate="done")) == ["server"]


def test_a_database_that_fell_over_again_does_not_hold_up_the_agents_restart() -> None:
    progress = _progress(postgres="ready", valkey="ready", migrate="done", server="backoff")
    progress["server"].was_ready = True
    progress["server"].next_start = 99.0
    assert _startable(progress) == ["agent"]


def test_restarts_come_at_growing_intervals_and_end() -> None:
    spec, own, now = _spec("valkey"), Progress(phase="starting", was_ready=True), 100.0
    delays: list[float] = []
    while own.phase != "failed":
        own = schedule.after_failure(spec, own, now, "gone", patient=False)
        delays.append(round(own.next_start - now, 3))
    assert tuple(delays[:-1]) == RESTART_DELAYS_S
    assert own.error == "gone"


def test_a_full_disk_never_makes_it_give_up() -> None:
    spec, own = _spec("postgres"), Progress(phase="starting", was_ready=True)
    for _ in range(50):
        own = schedule.after_failure(spec, own, 0.0, "No space left on device", patient=True)
    assert own.phase == "backoff"
    assert own.next_start == max(RESTART_DELAYS_S)


def test_a_long_good_run_wipes_the_slate() -> None:
    own = Progress(phase="ready", since=0.0, quick_failures=4, was_ready=True)
    own = schedule.after_failure(_spec("server"), own, schedule.STEADY_S + 1, "killed", patient=False)
    assert own.quick_failures == 1
    assert own.phase == "backoff"


@pytest.mark.parametrize("spec", [_spec("migrate", step=True), _spec("server")], ids=lambda spec: spec.name)
def test_what_never_worked_is_tried_three_times(spec: ServiceSpec) -> None:
    own, tries = Progress(), 1
    while (own := schedule.after_failure(spec, own, 0.0, "no", patient=False)).phase != "failed":
        tries += 1
    assert tries == 3


def test_backoff_is_waited_out() -> None:
    progress = _progress(postgres="backoff")
    progress["postgres"].next_start = 10.0
    assert "postgres" not in _startable(progress, now=9.9)
    assert "postgres" in _startable(progress, now=10.0)


def test_stop_order_is_the_start_order_reversed() -> None:
    waves = schedule.stop_waves(PLAN)
    assert waves == [["agent"], ["server"], ["migrate"], ["postgres", "valkey"]]


@pytest.mark.parametrize(("optional", "up"), [(True, True), (False, False)])
def test_only_what_counts_decides_whether_it_is_up(*, optional: bool, up: bool) -> None:
    plan = [_spec("server"), _spec("credentials", optional=optional)]
    progress = {"server": Progress(phase="ready"), "credentials": Progress(phase="failed")}
    assert schedule.is_up(plan, progress) is up
    assert (schedule.first_failure(plan, progress) is None) is up
