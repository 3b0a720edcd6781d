"""What is read from the engine's, the site's and the door's own words."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from remotegpu.kit import certificates, file_lock
from remotegpu.site.bundle import writing
from remotegpu.site.bundle.render import render
from remotegpu.site.config.model import Config, Network, Release, Site
from remotegpu.site.deploying.decisions import config_hash
from remotegpu.site.place import Place
from remotegpu.site.releases import Release as Record
from remotegpu.site.releases import Releases
from remotegpu.site.status.facts import Unknown
from remotegpu.site.status.gathering import backups, door, engine, keys, records

NOON = datetime.now(UTC)


def test_a_container_is_read_from_what_docker_says() -> None:
    said = (
        'time="…" level=warning msg="something"\n'
        '{"Name":"/remotegpu-acme-worker-1","Image":"sha256:ab","RestartCount":3,"Config":{"Labels":'
        '{"com.docker.compose.service":"worker"}},"State":{"Status":"running","ExitCode":0,"OOMKilled":false,'
        '"StartedAt":"2026-11-24T13:38:46.115355445Z","Health":{"Status":"healthy"}}}\n'
    )
    (entry,) = engine.json_lines(said)
    found = engine.container_of(entry)
    assert (found.service, found.state, found.health, found.restarts) == ("worker", "running", "healthy", 3)
    assert found.started_at == datetime(2026, 11, 24, 13, 38, 46, 115355, tzinfo=UTC)
    assert engine.started_at("0001-01-01T00:00:00Z") is None


def test_an_image_is_called_what_people_call_it() -> None:
    assert engine.best_name(["remotegpu-kept-nginx:r1", "nginx:1.30.4"]) == "nginx:1.30.4"
    assert engine.best_name(["remotegpu-kept-nginx:r1"]) == "remotegpu-kept-nginx:r1"
    assert engine.best_name([]) == ""


def test_no_answer_of_the_backup_container_is_unknown_and_says_what_came_instead() -> None:
    found = backups.read_archive('service "backup" is not running\n')
    assert isinstance(found, Unknown)
    assert 'service "backup" is not running' in found.why


def test_retired_keys_are_read_from_what_the_backup_container_goes_by(tmp_path: Path) -> None:
    place, _, _ = deployed(tmp_path)
    assert keys.retired(place) == ()
    listed = place.directory / "secrets/backup/restore/retired.json"
    listed.parent.mkdir(parents=True)
    (place.directory / "backups/pgbackrest/archive/remotegpu").mkdir(parents=True)
    first = '{"local":"/backups/pgbackrest","offsite":"/pgbackrest","until":"2026-03-08T00:00:00Z"}'
    listed.write_text(f"[{first}, {first.replace('pgbackrest', 'pgbackrest/ab')}]")
    found = keys.retired(place)
    assert not isinstance(found, Unknown)
    assert [(key.repository, key.is_there) for key in found] == [
        ("/backups/pgbackrest", True),
        ("/backups/pgbackrest/ab", False),
    ]
    listed.write_text("noise")
    assert isinstance(keys.retired(place), Unknown)


def deployed(tmp_path: Path) -> tuple[Place, Releases, Record]:
    site = Site(name="acme", domain="gpu.example.com", directory=str(tmp_path / "site"))
    config = Config(site=site, release=Release(version="v1.0.0"))
    place, bundle = Place(config, tmp_path / "remotegpu.yaml"), render(config)
    record = Record(
        id="r1",
        version="v1.0.0",
        slot="blue",
        images={},
        image_ids={},
        config_hash=config_hash(bundle),
        schema="",
        git_revision="",
        deployed_at=NOON,
        by="ops",
        why="",
    )
    releases = Releases(place.directory)
    releases.keep(record, bundle)
    writing.write(place.directory, bundle)
    return place, releases, record


def test_files_that_somebody_edited_and_a_file_that_says_something_else_now_are_told_apart(
    tmp_path: Path,
) -> None:
    place, releases, record = deployed(tmp_path)
    assert records.edited(place, releases, record) == ()
    assert records.config_changes(place, releases, record) == ()
    redis = place.directory / "redis" / "redis.conf"
    redis.write_text(redis.read_text() + "save 60 1\n")
    (place.directory / ".env.redis").unlink()
    assert records.edited(place, releases, record) == (".env.redis", "redis/redis.conf")
    assert records.config_changes(place, releases, record) == ()
    faster = Config(
        site=place.config.site, release=place.config.release, network=Network(requests_per_second=7)
    )
    changed = records.config_changes(Place(faster, place.config_path), releases, record)
    assert set(changed) == {"nginx/nginx.conf", "nginx/conf.d/site.conf"}


def test_a_lock_that_nobody_holds_any_more_is_none(tmp_path: Path) -> None:
    assert records.holder(tmp_path) is None
    said = {"who": "ops", "pid": 7, "since": "2026-11-24T12:00:00+00:00", "why": "deploy v1.3.0"}
    with file_lock.held(tmp_path / ".lock", said):
        found = records.holder(tmp_path)
        assert found is not None
        assert (found.who, found.why, found.pid) == ("ops", "deploy v1.3.0", 7)
        assert found.since == datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    assert records.holder(tmp_path) is None


class _Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"ready": false}' if self.headers["Host"] == "gpu.example.com" else b"wrong host"
        self.send_response(503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving(folder: Path, pair: certificates.Pair) -> Iterator[int]:
    (folder / "server.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ready)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_certificate_that_is_served_is_what_counts(tmp_path: Path) -> None:
    authority = certificates.new_authority("acme", NOON, timedelta(days=100))
    own = tmp_path / "ca.pem"
    own.write_text(authority.certificate)
    pair = certificates.issue(authority, ["gpu.example.com"], NOON, timedelta(days=20))
    with serving(tmp_path, pair) as port:
        believed = door.through(port, "gpu.example.com", own)
        unknown = door.through(port, "gpu.example.com", None)
        misnamed = door.through(port, "other.example.com", own)
    assert (believed.error, believed.distrust, believed.status) == ("", "", 503)
    assert believed.said == '{"ready": false}'
    assert believed.ends_at is not None
    assert believed.ends_at - NOON < timedelta(days=20)
    assert "unable to get local issuer certificate" in unknown.distrust
    assert unknown.ends_at == believed.ends_at
    assert "other.example.com" in misnamed.distrust
    assert door.through(port, "gpu.example.com", own).error
