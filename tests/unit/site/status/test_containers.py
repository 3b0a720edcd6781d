"""When a container is well, and what is said when it is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from remotegpu.site.releases import Release
from remotegpu.site.status.facts import Container, Unknown
from remotegpu.site.status.items import Item
from remotegpu.site.status.judging import containers

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SERVICES = ("nginx", "backend-blue", "backend-green", "worker", "postgresql")
RELEASE = Release(
    id="20261124T100000Z-v1.2.0-ab12",
    version="v1.2.0",
    slot="green",
    images={"backend": "remotegpu-backend:v1.2.0"},
    image_ids={"backend": "sha256:" + "b" * 64, "postgresql": "sha256:" + "d" * 64},
    config_hash="",
    schema="0003",
    git_revision="abc",
    deployed_at=NOON - timedelta(days=2),
    by="ops",
    why="",
)


def up(service: str) -> Container:
    made_of = "b" if service.startswith("backend") or service == "worker" else "e"
    return Container(
        service=service,
        state="running",
        health="healthy",
        restarts=0,
        started_at=NOON - timedelta(days=1),
        exit_code=0,
        out_of_memory=False,
        image_id="sha256:" + made_of * 64,
    )


def judged(service: str, container: Container | None, release: Release | None = RELEASE) -> Item:
    others = [up(name) for name in SERVICES if name != service]
    found = (*others, *([container] if container else []))
    items = {item.name: item for item in containers.judge(SERVICES, found, release, NOON)}
    assert all(item.level == "ok" for name, item in items.items() if name != f"container {service}")
    return items[f"container {service}"]


def test_all_up_is_well_also_a_database_of_another_image_than_the_release() -> None:
    assert judged("postgresql", up("postgresql")).level == "ok"


@pytest.mark.parametrize("state", ["exited", "created", "dead", None])
def test_the_slot_in_reserve_may_be_stopped_and_the_one_that_serves_may_not(state: str | None) -> None:
    def stopped(service: str) -> Container | None:
        return replace(up(service), state=state, health="", exit_code=3) if state else None

    assert judged("backend-blue", stopped("backend-blue")).level == "ok"
    serving = judged("backend-green", stopped("backend-green"))
    assert serving.level == "problem"
    assert serving.remedy


def test_unhealthy_in_reserve_is_a_warning_and_a_problem_in_service() -> None:
    assert judged("backend-blue", replace(up("backend-blue"), health="unhealthy")).level == "warning"
    assert judged("backend-green", replace(up("backend-green"), health="unhealthy")).level == "problem"


def test_without_a_release_no_slot_is_missed() -> None:
    assert judged("backend-green", None, release=None).level == "ok"
    assert judged("worker", None, release=None).level == "problem"


def test_what_ran_out_of_memory_is_to_get_more() -> None:
    killed = replace(up("worker"), state="exited", exit_code=137, out_of_memory=True)
    item = judged("worker", killed)
    assert (item.level, item.found) == ("problem", "exited: ran out of memory")
    assert "limits.worker.memory" in item.remedy
    green = replace(killed, service="backend-green")
    assert "limits.backend.memory" in judged("backend-green", green).remedy


def test_restarts_count_while_they_are_recent() -> None:
    lately = replace(up("worker"), restarts=4, started_at=NOON - timedelta(minutes=5))
    assert judged("worker", lately).level == "warning"
    assert judged("worker", lately).found == "restarted 4 times, last 5 minutes ago"
    assert judged("worker", replace(lately, started_at=NOON - timedelta(hours=2))).level == "ok"


def test_another_image_than_the_release_recorded_is_noticed() -> None:
    item = judged("worker", replace(up("worker"), image_id="sha256:" + "9" * 64))
    assert item.level == "warning"
    assert "999999999999" in item.found
    assert "bbbbbbbbbbbb" in item.found


def test_what_docker_does_not_say_is_unknown() -> None:
    unknown = Unknown("permission denied", "Run it as root.")
    (item,) = containers.judge(SERVICES, unknown, RELEASE, NOON)
    assert (item.level, item.found, item.remedy) == ("unknown", "permission denied", "Run it as root.")
