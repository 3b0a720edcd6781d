"""What is rendered: the same for the same, whole, without secrets, and as hard as it claims to be."""

import io
import re
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from remotegpu.site import secrets
from remotegpu.site.bundle import compose, topology, writing
from remotegpu.site.bundle.render import nginx_version, render, upstreams
from remotegpu.site.checks import cis
from remotegpu.site.config.model import S3, Backup, Components, Config, Limits, Network, Release, Site
from remotegpu.site.config.rules import contradictions

BASIC = Config(site=Site(name="acme", domain="gpu.example.com"), release=Release(version="v1.0.0"))
STORE = S3(
    endpoint="https://s3.example.com", bucket="gpu", access_key_file="/etc/a", secret_key_file="/etc/s"
)


def with_(**parts: object) -> Config:
    values = {"site": BASIC.site, "release": BASIC.release} | parts
    return Config(**values)  # type: ignore[arg-type]


def services(config: Config) -> dict[str, dict]:
    return YAML(typ="safe").load(compose.text(config))["services"]


def test_the_tree_is_the_plans() -> None:
    assert {
        "docker-compose.prod.yml",
        ".env.backend",
        ".env.db",
        ".env.redis",
        "nginx/nginx.conf",
        "nginx/conf.d/site.conf",
        "postgresql/postgresql.conf",
        "redis/redis.conf",
        "prometheus/prometheus.yml",
        "scripts/deploy.sh",
        "scripts/rollback.sh",
        "scripts/backup-db.sh",
        "scripts/restore-db.sh",
    } <= set(render(BASIC))


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    assert render(BASIC) == render(with_())
    assert writing.write(tmp_path, render(BASIC))
    assert writing.diff(tmp_path, render(BASIC)) == ""
    assert writing.write(tmp_path, render(BASIC)) == []
    assert (tmp_path / "scripts/deploy.sh").stat().st_mode & 0o777 == 0o755


def test_a_difference_shows_as_one(tmp_path: Path) -> None:
    writing.write(tmp_path, render(BASIC))
    other = with_(network=Network(requests_per_second=7))
    diff = writing.diff(tmp_path, render(other))
    assert "-    limit_req_zone $binary_remote_addr zone=api:10m rate=100r/s;" in diff
    assert "+    limit_req_zone $binary_remote_addr zone=api:10m rate=7r/s;" in diff


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    secrets.ensure(tmp_path)
    values = [path.read_text() for path in (tmp_path / "secrets").iterdir() if path.name != "db_user"]
    whole = "".join(file.text for file in render(BASIC).values())
    assert values
    assert not [value for value in values if value in whole]


def test_the_benchmark_finds_nothing_that_is_not_waived() -> None:
    exposing = with_(network=Network(internal_address="10.0.0.5", expose=["postgresql", "redis", "rustfs"]))
    for config in (BASIC, exposing, with_(components=Components(rustfs=False), object_store=STORE)):
        assert [finding for finding in cis.check(compose.text(config)) if not finding.waived] == []


def test_every_waiver_is_needed() -> None:
    waived = {
        (finding.check, finding.service) for finding in cis.check(compose.text(BASIC)) if finding.waived
    }
    assert waived == set(cis.WAIVERS)


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"user": "0:0"}, "4.1"),
        ({"healthcheck": {"disable": True}}, "4.6"),
        ({"environment": {"DB_PASSWORD": "x"}}, "4.10"),
        ({"cap_drop": []}, "5.4"),
        ({"cap_add": ["SYS_ADMIN"]}, "5.4"),
        ({"privileged": True}, "5.5"),
        ({"volumes": ["/etc:/host:ro"]}, "5.6"),
        ({"network_mode": "host"}, "5.10"),
        ({"pid": "host"}, "5.10"),
        ({"deploy": {}}, "5.11"),
        ({"deploy": {}}, "5.12"),
        ({"deploy": {}}, "5.29"),
        ({"read_only": False}, "5.13"),
        ({"ports": ["5432:5432"]}, "5.14"),
        ({"ports": ["0.0.0.0:5432:5432"]}, "5.14"),
        ({"ports": ["[::]:5432:5432"]}, "5.14"),
        ({"restart": "no"}, "5.15"),
        ({"security_opt": ["no-new-privileges:true", "seccomp:unconfined"]}, "5.26"),
        ({"security_opt": []}, "5.26"),
        ({"image": "redis:latest"}, "5.28"),
        ({"image": "redis"}, "5.28"),
        ({"image": "${REDIS_IMAGE:-redis:8-alpine}"}, "5.28"),
        ({"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, "5.32"),
        ({"logging": {"driver": "json-file"}}, "2.13"),
    ],
)
def test_each_check_finds_what_it_is_for(change: dict[str, object], check: str) -> None:
    document = YAML(typ="safe").load(compose.text(BASIC))
    document["services"]["redis"] |= change
    stream = io.StringIO()
    YAML().dump(document, stream)
    found = {finding.check for finding in cis.check(stream.getvalue()) if finding.service == "redis"}
    assert found == {check} or (check in {"5.11", "5.12", "5.29"} and found == {"5.11", "5.12", "5.29"})


def test_only_nginx_publishes_ports_and_the_rest_only_where_asked() -> None:
    assert [name for name, service in services(BASIC).items() if service.get("ports")] == ["nginx"]
    exposing = with_(network=Network(internal_address="10.0.0.5", expose=["postgresql"]))
    found = {name: service["ports"] for name, service in services(exposing).items() if service.get("ports")}
    assert found["postgresql"] == ["10.0.0.5:5432:5432"]
    assert set(found) == {"nginx", "postgresql"}


def test_an_address_of_version_six_is_written_as_compose_reads_it() -> None:
    exposing = with_(network=Network(internal_address="fd00::5", expose=["redis"]))
    assert contradictions(exposing) == []
    assert services(exposing)["redis"]["ports"] == ["[fd00::5]:6379:6379"]
    assert [finding for finding in cis.check(compose.text(exposing)) if not finding.waived] == []


def test_the_data_network_has_no_way_out_and_nginx_is_not_in_it() -> None:
    document = YAML(typ="safe").load(compose.text(BASIC))
    assert document["networks"]["data"]["internal"] is True
    assert set(document["services"]["nginx"]["networks"]) == {"edge", "app"}
    outside = [name for name, service in document["services"].items() if "edge" in service["networks"]]
    assert outside == ["nginx"]
    assert "container_name" not in compose.text(BASIC)
    assert "version" not in document


def test_health_checks_leave_dollars_to_the_container() -> None:
    for name, service in services(BASIC).items():
        test = " ".join(map(str, service["healthcheck"].get("test", [])))
        assert not re.search(r"(?<!\$)\$(?!\$)", test), name


def test_limits_of_the_file_win() -> None:
    limited = with_(limits={"postgresql": Limits(memory="8g", cpus=4)})
    limits = services(limited)["postgresql"]["deploy"]["resources"]["limits"]
    assert limits == {"cpus": "4", "memory": "8g", "pids": 512}
    assert "shared_buffers = '2048MB'" in render(limited)["postgresql/postgresql.conf"].text


def test_without_an_object_store_of_its_own_nothing_of_it_is_left() -> None:
    config = with_(components=Components(rustfs=False), object_store=STORE)
    assert "rustfs" not in services(config)
    assert "rustfs" not in render(config)["nginx/conf.d/site.conf"].text
    assert "S3_PUBLIC_ENDPOINT=https://s3.example.com\n" in render(config)[".env.backend"].text


def test_what_customers_made_is_shown_powerless_and_signatures_reach_no_log() -> None:
    rendered = render(BASIC)
    site = rendered["nginx/conf.d/site.conf"].text
    objects = site.split("location /remotegpu-objects/ {")[1].split("\n    }\n")[0]
    assert "add_header Content-Security-Policy \"sandbox; default-src 'none';" in objects
    assert "add_header X-Content-Type-Options nosniff always;" in objects
    assert "error_log /dev/stderr crit;" in objects
    assert "error_log /dev/stderr crit;" in rendered["nginx/streaming.conf"].text
    assert "$request_uri" not in rendered["nginx/nginx.conf"].text
    assert "$args" not in rendered["nginx/nginx.conf"].text


def test_older_nginx_gets_no_newer_directive() -> None:
    assert "keepalive_min_timeout" in render(BASIC)["nginx/nginx.conf"].text
    older = with_(images={"nginx": "nginx:1.26.3"})
    assert nginx_version(older) == (1, 26, 3)
    assert "keepalive_min_timeout" not in render(older)["nginx/nginx.conf"].text


def test_upstreams_are_addresses() -> None:
    found = upstreams(BASIC, "green", "blue")
    assert "server 172.30.1.12:8080" in found["nginx/upstreams/active.conf"]
    assert (
        "upstream remotegpu_frontend_candidate {\n    server 172.30.1.21:3000"
        in found["nginx/upstreams/candidate.conf"]
    )


def test_while_a_release_is_watched_the_one_before_answers_in_its_stead() -> None:
    found = upstreams(BASIC, "green", "green", reserve="blue")
    active = found["nginx/upstreams/active.conf"]
    assert "server 172.30.1.12:8080 max_fails=0;\n    server 172.30.1.11:8080 backup;" in active
    assert "server 172.30.1.22:3000 max_fails=0;\n    server 172.30.1.21:3000 backup;" in active
    assert "backup" not in found["nginx/upstreams/candidate.conf"]


def test_fixed_addresses_are_outside_what_docker_gives_out() -> None:
    document = YAML(typ="safe").load(compose.text(BASIC))
    dynamic = IPv4Network(document["networks"]["app"]["ipam"]["config"][0]["ip_range"])
    for service in ("nginx", "backend-blue", "backend-green", "frontend-blue", "frontend-green", "rustfs"):
        assert topology.address(BASIC, service) in topology.network(BASIC, "app")
        assert topology.address(BASIC, service) not in dynamic


def test_with_a_second_place_the_database_has_a_way_out_and_nothing_else_changes() -> None:
    key = "age1jy8gkv5y8jrckhndqph3pdtpajgyft4rearmzszzvljl228mkd9suznjx8"
    config = with_(backup=Backup(offsite=STORE, age_recipients=[key]))
    assert contradictions(config) == []
    assert services(config)["postgresql"]["networks"] == ["data", "outgoing"]
    assert services(BASIC)["postgresql"]["networks"] == ["data"]
    assert "repo2-s3-endpoint=s3.example.com\n" in render(config)["postgresql/pgbackrest.conf"].text
    assert f"OFFSITE_AGE_RECIPIENT={key}\n" in render(config)[".env.backup"].text
    without_key = with_(backup=Backup(offsite=STORE))
    assert [problem.key for problem in contradictions(without_key)] == ["backup.age_recipients"]
