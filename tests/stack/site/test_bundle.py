"""What was rendered, judged by the programs that read it."""

import shutil
import subprocess

import pytest

from stack.site.bed import Site


def test_compose_accepts_the_file_with_and_without_the_tools(site: Site, at_first: str) -> None:
    assert at_first
    services = set(site.compose("config", "--services").split())
    assert {"nginx", "backend-blue", "backend-green", "worker", "postgresql", "redis", "backup"} <= services
    assert set(site.compose("--profile=tools", "config", "--services").split()) == services | {"migrate"}


def test_nginx_accepts_its_configuration_without_a_warning(site: Site, at_first: str) -> None:
    assert at_first
    command = ("nginx", "-t", "-c", "/etc/remotegpu/nginx/nginx.conf", "-e", "/dev/stderr")
    (container,) = site.compose("ps", "--quiet", "nginx").split()
    done = site.engine.docker("exec", container, *command)
    assert "syntax is ok" in done.stderr
    assert "[warn]" not in done.stderr


def test_postgresql_took_every_line_of_its_files(site: Site, at_first: str) -> None:
    assert at_first
    assert site.psql("SELECT name FROM pg_file_settings WHERE error IS NOT NULL") == ""
    assert site.psql("SELECT line_number FROM pg_hba_file_rules WHERE error IS NOT NULL") == ""
    assert site.psql("SELECT name FROM pg_settings WHERE pending_restart") == ""
    assert site.psql("SHOW data_checksums") == "on"
    assert site.psql("SHOW archive_mode") == "on"


def test_redis_keeps_what_it_acknowledged(site: Site, at_first: str) -> None:
    assert at_first
    ask = 'REDISCLI_AUTH="$(cat /run/secrets/redis_operator_password)" redis-cli -e --user operator info persistence'
    found = site.compose("exec", "--no-TTY", "redis", "sh", "-c", ask)
    assert "aof_enabled:1" in found
    assert "aof_last_write_status:ok" in found


def test_prometheus_accepts_its_configuration(site: Site, at_first: str) -> None:
    assert at_first
    if shutil.which("promtool") is None:
        pytest.skip("found no promtool, expected Debian's package prometheus")
    file = site.directory / "prometheus/prometheus.yml"
    subprocess.run(["promtool", "check", "config", file], check=True)


def test_the_files_on_the_node_are_the_rendered_ones(site: Site, at_first: str) -> None:
    assert at_first
    assert site.do("render", "--diff").output.strip() == "no difference"
