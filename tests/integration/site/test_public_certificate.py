"""A public certificate, from a real ACME server (Pebble, of the makers of Let's Encrypt) that asks for real proof."""

import contextlib
import functools
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from remotegpu.kit import certificates
from remotegpu.kit.clock import utc_now
from remotegpu.site import public_certificate, secrets
from remotegpu.site.public_certificate import PublicCertificateError

DOMAIN = "gpu.example.com"
pytestmark = pytest.mark.skipif(
    shutil.which("pebble") is None, reason="Debian's package pebble is not installed"
)


def free_ports(count: int) -> list[int]:
    """Different ones."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None, "it ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)


@dataclass
class Authority:
    """``directory``: its URL. ``http_port``: where it comes to look for the proof."""

    directory: str
    http_port: int


@contextmanager
def running(*argv: str, port: int, environment: dict[str, str] | None = None) -> Iterator[None]:
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """Pebble, and a name server for which every name is this computer."""
    folder = tmp_path_factory.mktemp("pebble")
    signer = certificates.new_authority("Pebble", utc_now(), timedelta(days=1))
    own = certificates.issue(signer, ["127.0.0.1", "localhost"], utc_now(), timedelta(days=1))
    (folder / "ca.pem").write_text(signer.certificate)
    (folder / "cert.pem").write_text(own.certificate)
    (folder / "key.pem").write_text(own.key)
    port, management, http_port, tls_port, names, control = free_ports(6)
    pebble = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(folder / "cert.pem"),
        "privateKey": str(folder / "key.pem"),
        "httpPort": http_port,
        "tlsPort": tls_port,
    }
    (folder / "config.json").write_text(json.dumps({"pebble": pebble}))
    name_server = ("pebble-challtestsrv", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{names}")
    quiet = ("-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{control}")
    with (
        running(*name_server, *quiet, port=control),
        running(
            *("pebble", "-config", str(folder / "config.json"), "-dnsserver", f"127.0.0.1:{names}"),
            port=port,
            environment={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "10", "PEBBLE_AUTHZREUSE": "50"},
        ),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("REQUESTS_CA_BUNDLE", str(folder / "ca.pem"))
        yield Authority(f"https://127.0.0.1:{port}/dir", http_port)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    secrets.ensure(tmp_path)
    return tmp_path


@contextmanager
def shown(webroot: Path, port: int) -> Iterator[None]:
    """What nginx does in a site: files of the folder on port 80."""
    webroot.mkdir(exist_ok=True)
    handler = functools.partial(Quiet, directory=str(webroot))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def bring(site: Path, authority: Authority, domain: str = DOMAIN) -> certificates.Pair:
    return public_certificate.bring(
        site,
        directory=authority.directory,
        email="ops@example.com",
        domain=domain,
        webroot=site / "acme",
        now=utc_now(),
    )


def test_it_comes_for_the_name_and_is_kept_with_its_key(site: Path, authority: Authority) -> None:
    with shown(site / "acme", authority.http_port):
        pair = bring(site, authority)
    found = x509.load_pem_x509_certificate(pair.certificate.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [DOMAIN]
    assert pair.certificate.count("BEGIN CERTIFICATE") == 2, "with the one that signed it"
    assert public_certificate.present(site) == pair
    assert (site / "secrets" / public_certificate.KEY).stat().st_mode & 0o777 == 0o400


def test_a_second_one_comes_with_the_same_account(site: Path, authority: Authority) -> None:
    with shown(site / "acme", authority.http_port):
        first = bring(site, authority)
        account = (site / "secrets" / public_certificate.ACCOUNT).read_text()
        second = bring(site, authority)
    assert second != first
    assert (site / "secrets" / public_certificate.ACCOUNT).read_text() == account


def test_without_proof_none_comes_and_the_old_one_stays(site: Path, authority: Authority) -> None:
    with shown(site / "acme", authority.http_port):
        before = bring(site, authority)
    another = "other.example.com"  # for the first name the proof is still believed
    with pytest.raises(PublicCertificateError, match=f"gave no certificate for {another}: .*port 80"):
        bring(site, authority, another)
    assert public_certificate.present(site) == before


def test_an_authority_that_does_not_answer_is_named(site: Path) -> None:
    nobody = Authority(f"https://127.0.0.1:{free_ports(1)[0]}/dir", 0)
    with pytest.raises(PublicCertificateError, match=nobody.directory):
        bring(site, nobody)
    assert public_certificate.present(site) is None


def test_it_is_due_a_month_before_it_ends() -> None:
    start = utc_now()
    signer = certificates.new_authority("x", start, timedelta(days=100))
    pair = certificates.issue(signer, [DOMAIN], start, timedelta(days=90))
    assert public_certificate.is_due(None, start)
    assert not public_certificate.is_due(pair, start + timedelta(days=59))
    assert public_certificate.is_due(pair, start + timedelta(days=61))
