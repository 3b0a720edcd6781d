"""A drill that fails in the ``backup`` container reaches a robot outside it, once; and so does the end of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import far_sides
from far_sides import KEY, Other
from stack.backups.bed import Bed, docker

STATE = "backups/.state/schedule.json"
PUBLIC_AUTHORITIES = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"


@pytest.fixture
def robot(own_site: Bed, tmp_path: Path) -> Iterator[Other]:
    """On this computer, where the site's network ends; its secrets are in the container."""
    gateway = docker(
        "network", "inspect", "--format={{(index .IPAM.Config 0).Gateway}}", own_site.name
    ).strip()
    trust = far_sides.authority(tmp_path, names=(gateway,))
    with far_sides.running(far_sides.wecom, trust, host="0.0.0.0") as other:
        own_site.secret("secrets/channel_ops_url", other.url(f"/cgi-bin/webhook/send?key={KEY}", gateway))
        own_site.secret("secrets/channel_ops_ca", trust.ca.read_text())
        channel = {"kind": "wecom", "name": "ops", "url_file": "/run/secrets/channel_ops_url"}
        channel["ca_file"] = "/run/secrets/channel_ops_ca"
        own_site.start_backup(env={"S3_ENDPOINT": "", "ALERT_CHANNELS": json.dumps([channel])})
        yield other


def drill_is_due(site: Bed, attempts: int) -> None:
    """And nothing else; so many attempts failed before."""
    now = datetime.now(UTC)
    done = {"handled": (now + timedelta(hours=2)).isoformat()}
    drill = {"handled": "2026-01-01T00:00:00Z", "attempts": attempts}
    progress = {"daily": done, "redis": done, "verify": done, "drill": drill}
    site.sh("backup", "sh", "-c", f"mkdir -p /backups/.state && cat > /{STATE}", stdin=json.dumps(progress))


def run_schedule(site: Bed) -> str:
    return site.sh("backup", "remotegpu", "backups", "schedule", "--once")


def test_a_drill_that_fails_is_told_once_and_so_is_that_it_passes_again(own_site: Bed, robot: Other) -> None:
    site = own_site
    assert site.backups("test-alerts")["ok"]
    assert "通道 ops 可用" in robot.taken[0].json["markdown"]["content"]
    conf = (site.root / "secrets/pgbackrest.conf").read_text()
    site.secret("secrets/pgbackrest.conf", "[global]\nrepo1-cipher-pass=another-key\n")
    logs = ""
    for attempts in (1, 2, 2):
        drill_is_due(site, attempts)
        logs += run_schedule(site)
    (told,) = [got.json["markdown"]["content"] for got in robot.taken[1:]]
    assert "[acme] 每晚恢复演练失败" in told
    assert "remotegpu site drill" in told
    assert "another-key" not in told
    assert KEY not in logs
    site.secret("secrets/pgbackrest.conf", conf)
    drill_is_due(site, 0)
    run_schedule(site)
    assert "每晚恢复演练已恢复正常" in robot.taken[2].json["markdown"]["content"]
    assert len(robot.taken) == 3


def test_the_container_believes_public_authorities(own_site: Bed) -> None:
    found = own_site.sh("backup", "/opt/remotegpu/bin/python", "-c", PUBLIC_AUTHORITIES)
    assert int(found) > 50
