"""The front door as visitors meet it: TLS, headers, whose address is believed, what is logged, how much passes."""

import http.client
import json
import secrets
import socket
import ssl
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import pytest

from stack.site.bed import Site
from stack.site.door import HERE, TIMEOUT_S, Connection
from stack.site.people import Account

HSTS = "max-age=63072000"
INTERMEDIATE = {
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
}
"""Mozilla's six for TLS 1.2, as far as the certificate's key goes with them."""
STRANGER = "203.0.113.9"
"""RFC 5737: belongs to nobody."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


def ask(
    site: Site,
    path: str,
    *,
    method: str = "GET",
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    connection = Connection(site.door)
    try:
        own = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, None if body is None else json.dumps(body), own)
        answer = connection.getresponse()
        return Answer(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read().decode(errors="replace"),
        )
    finally:
        connection.close()


@contextmanager
def handshake(site: Site, context: ssl.SSLContext, name: str) -> Generator[ssl.SSLSocket]:
    with (
        socket.create_connection((HERE, site.https_port), TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname=name) as encrypted,
    ):
        yield encrypted


def only(version: ssl.TLSVersion, authority: str) -> ssl.SSLContext:
    """A client that speaks one version, and there whatever its library still knows."""
    context = ssl.create_default_context(cafile=authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what is tried
        context.minimum_version = context.maximum_version = version
    return context


def log(site: Site, service: str) -> str:
    return site.compose("logs", "--no-log-prefix", service)


def requests_logged(site: Site) -> list[dict[str, object]]:
    return [json.loads(line) for line in log(site, "nginx").splitlines() if line.startswith("{")]


def test_plain_http_is_sent_to_the_site_whatever_name_was_asked_for(site: Site, at_first: str) -> None:
    assert at_first
    for host in (site.domain, "evil.example.net"):
        connection = http.client.HTTPConnection(HERE, site.http_port, timeout=TIMEOUT_S)
        connection.request("GET", "/tasks?page=2", headers={"Host": host})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Location")) == (308, f"{site.url}/tasks?page=2")
        connection.close()


def test_only_current_tls_is_spoken_and_only_under_the_sites_name(site: Site, at_first: str) -> None:
    assert at_first
    authority = str(site.authority)
    with handshake(site, only(ssl.TLSVersion.TLSv1_3, authority), site.domain) as new:
        assert new.version() == "TLSv1.3"
    agreed = set()
    for cipher in {each["name"] for each in only(ssl.TLSVersion.TLSv1_2, authority).get_ciphers()}:
        context = only(ssl.TLSVersion.TLSv1_2, authority)
        try:
            context.set_ciphers(f"{cipher}:@SECLEVEL=0")
            with handshake(site, context, site.domain):
                agreed.add(cipher)
        except (ssl.SSLError, ConnectionError):
            continue
    assert agreed == INTERMEDIATE
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with (
            pytest.raises((ssl.SSLError, ConnectionError)),
            handshake(site, only(old, authority), site.domain),
        ):
            pass
    with (
        pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"),
        handshake(site, only(ssl.TLSVersion.TLSv1_3, authority), "evil.example.net"),
    ):
        pass


def test_every_answer_carries_the_headers_that_keep_it_safe(site: Site, at_first: str) -> None:
    assert at_first
    for path in ("/", "/api/v1/openapi.json", "/api/v1/machines", "/health/ready", "/no/such/page"):
        found = ask(site, path).headers
        assert found["strict-transport-security"] == HSTS, path
        assert found["x-content-type-options"] == "nosniff", path
        assert found["x-frame-options"] == "DENY", path
        assert "default-src 'self'" in found["content-security-policy"], path
        assert "nginx/" not in found.get("server", ""), path


def test_what_tasks_made_can_do_nothing_under_the_consoles_name(site: Site, at_first: str) -> None:
    """A web page among a task's artifacts is shown by the same name as the console, and must not be the console."""
    assert at_first
    found = ask(site, "/remotegpu-objects/tasks/page.html?X-Amz-Signature=none")
    assert found.status in {400, 403, 404}
    assert found.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["strict-transport-security"] == HSTS


def test_a_claimed_address_and_request_id_are_replaced_by_the_real_ones(
    site: Site, at_first: str, administrator: Account
) -> None:
    assert at_first
    claimed = {"X-Forwarded-For": STRANGER, "X-Real-IP": STRANGER, "X-Request-ID": "mine-all-mine"}
    body = {"email": administrator.email, "password": administrator.password}
    found = ask(site, "/api/v1/auth/login", method="POST", body=body, headers=claimed)
    assert found.status == 200
    number = found.headers["x-request-id"]
    assert number != claimed["X-Request-ID"]
    assert ip_address(recorded_address(site, number)) in ip_network(site.subnet)
    (logged,) = [each for each in requests_logged(site) if each["request_id"] == number]
    assert logged["remote_addr"] == recorded_address(site, number)
    assert number in log(site, f"backend-{site.serving()['slot']}")


def recorded_address(site: Site, request_id: str) -> str:
    """What the audit trail says."""
    assert request_id.isalnum()
    return site.psql(f"SELECT DISTINCT address FROM audit_logs WHERE request_id = '{request_id}'")


def test_the_log_is_json_without_what_stands_behind_a_question_mark(site: Site, at_first: str) -> None:
    assert at_first
    mark = secrets.token_hex(12)
    paths = (
        f"/api/v1/openapi.json?ticket={mark}",
        f"/api/v1/machines/x/terminal?ticket={mark}",
        f"/api/v1/tasks/x/log/stream?ticket={mark}",
        f"/remotegpu-objects/x?X-Amz-Signature={mark}",
    )
    for path in paths:
        ask(site, path)
    site.compose("stop", "--timeout=1", "rustfs")
    try:
        assert ask(site, paths[-1]).status >= 500
    finally:
        site.compose("start", "rustfs")
        site.compose("up", "--detach", "--no-recreate", "--wait", "rustfs")
    seen = {each["path"] for each in requests_logged(site)}
    assert {path.partition("?")[0] for path in paths} <= seen
    everything = log(site, "nginx") + log(site, f"backend-{site.serving()['slot']}")
    assert mark not in everything


def test_a_load_balancer_is_believed_where_the_file_says_so_and_each_visitor_has_a_limit(
    site: Site, at_first: str, administrator: Account
) -> None:
    limited = {"requests_per_second": 5, "trusted_proxies": [site.subnet]}
    with site.configured(network=limited):
        site.do("deploy", at_first, "--no-backup")
        by_stranger = {"X-Forwarded-For": STRANGER}
        body = {"email": administrator.email, "password": administrator.password}
        found = ask(site, "/api/v1/auth/login", method="POST", body=body, headers=by_stranger)
        assert recorded_address(site, found.headers["x-request-id"]) == STRANGER
        statuses = [ask(site, "/api/v1/openapi.json", headers=by_stranger).status for _ in range(60)]
        assert statuses[:10] == [200] * 10
        assert 429 in statuses
        assert set(statuses) == {200, 429}
        other = {"X-Forwarded-For": "203.0.113.10"}
        assert ask(site, "/api/v1/openapi.json", headers=other).status == 200
    site.do("deploy", at_first, "--no-backup")
