"""What a deployment decides."""

import json
from datetime import UTC, datetime, timedelta

from remotegpu.site.bundle import compose
from remotegpu.site.config.model import Config, Network, Release, Site
from remotegpu.site.deploying import decisions
from remotegpu.site.deploying.watching import count_connections, left_to_watch_s

CONFIG = Config(site=Site(name="acme", domain="gpu.example.com"), release=Release(version="v1.0.0"))
STORES = ("nginx", "postgresql", "redis", "rustfs")
IMAGES = {"backend": "b2", "frontend": "f2", "postgresql": "p2", "nginx": "n", "redis": "r", "rustfs": "s"}


def of(**parts: object) -> str:
    return compose.text(Config(**{"site": CONFIG.site, "release": CONFIG.release} | parts))  # type: ignore[arg-type]


def test_another_version_interrupts_nothing() -> None:
    later = of(release=Release(version="v1.0.1"))
    assert later != of()
    assert decisions.changed_services(of(), later, STORES) == set()
    assert decisions.changed_services("", later, STORES) == set()


def test_other_ports_interrupt_nginx() -> None:
    assert decisions.changed_services(of(), of(network=Network(https_port=8443)), STORES) == {"nginx"}


def test_a_release_starts_beside_what_runs() -> None:
    running = {
        "BACKEND_BLUE_IMAGE": "b1",
        "FRONTEND_BLUE_IMAGE": "f1",
        "WORKER_IMAGE": "b1",
        "BACKUP_IMAGE": "p1",
        "POSTGRESQL_IMAGE": "p1",
    }
    started = decisions.variables_for_start(running, "green", IMAGES, "fp", restart_database=False)
    assert {name: started[name] for name in running} == running
    assert (started["BACKEND_GREEN_IMAGE"], started["FRONTEND_GREEN_IMAGE"]) == ("b2", "f2")
    assert started["BACKEND_GREEN_SECRETS"] == "fp"
    serving = decisions.variables_once_it_serves(started, IMAGES, "w", "k")
    assert (serving["WORKER_IMAGE"], serving["BACKUP_IMAGE"], serving["POSTGRESQL_IMAGE"]) == (
        "b2",
        "p2",
        "p1",
    )
    asked = decisions.variables_for_start(running, "green", IMAGES, "fp", restart_database=True)
    assert asked["POSTGRESQL_IMAGE"] == "p2"
    assert decisions.parse_env(decisions.env_text(serving)) == serving


def test_few_requests_say_nothing_and_many_bad_ones_do() -> None:
    def line(status: int, upstream: str = "172.30.1.12:8080") -> str:
        return json.dumps({"upstream": upstream, "upstream_status": str(status)})

    bad = [line(500)] * 3 + [line(200)] * 10  # 13 are too few to judge
    assert not decisions.traffic(bad, "172.30.1.12:8080").is_bad(5.0)
    more = [line(502)] * 3 + [line(200)] * 47
    assert decisions.traffic(more, "172.30.1.12:8080").is_bad(5.0)
    assert not decisions.traffic(more, "172.30.1.12:8080").is_bad(6.0), "exactly as many as are accepted"
    stood_in = json.dumps({"upstream": "172.30.1.12:8080, 172.30.1.11:8080", "upstream_status": "502, 200"})
    assert decisions.traffic([stood_in], "172.30.1.12:8080") == decisions.Traffic(1, 1), (
        "another one answered"
    )
    others = [line(500, "172.30.1.11:8080")] * 50 + ["not json", json.dumps({"status": 500})]
    assert decisions.traffic(others, "172.30.1.12:8080").requests == 0


def test_only_open_connections_of_nginx_count() -> None:
    table = """  sl  local_address rem_address   st tx_queue
   0: 00000000:1F90 00000000:0000 0A 0
   1: 0C011EAC:1F90 0A011EAC:A001 01 0
   2: 0C011EAC:1F90 0A011EAC:A002 06 0
   3: 0100007F:1F90 0100007F:A003 01 0
   4: 0C011EAC:A004 05021EAC:1538 01 0
"""
    assert count_connections(table, 8080, "172.30.1.10") == 1


def test_a_release_is_watched_from_its_switch_on_and_the_worker_for_a_while() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert left_to_watch_s(10, None, now) == 10
    assert left_to_watch_s(10, now - timedelta(seconds=4), now) == 6
    assert left_to_watch_s(10, now - timedelta(seconds=60), now) == 3
    assert left_to_watch_s(0, now, now) == 0
