"""The probe against real servers on loopback: what is well, what it says otherwise, and that it is cheap to run."""

import datetime as dt
import http.server
import resource
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from remotegpu.kit.probe import main, probe

CHEAP_S = 0.15


class Pages(http.server.BaseHTTPRequestHandler):
    """``/200`` answers 200, and so on; ``/host`` only for the name ``site.example``; ``/hangs`` when it is let go."""

    let_go: threading.Event

    def do_GET(self) -> None:
        wanted = self.path.strip("/")
        if wanted == "hangs":
            self.let_go.wait(5)
            return
        status = int(wanted) if wanted.isdecimal() else 200
        if wanted == "host" and self.headers["Host"] != "site.example":
            status = 421
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"database":\n "no answer within 3 s"}')

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    pages = type("OwnPages", (Pages,), {"let_go": threading.Event()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), pages)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        pages.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    with serving() as number:
        yield number


@pytest.mark.parametrize("status", [200, 204, 299])
def test_any_2xx_is_well_and_says_nothing(port: int, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"http://127.0.0.1:{port}/{status}"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("status", [301, 404, 503])
def test_another_status_fails_with_one_line_that_shows_the_body(
    port: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"http://127.0.0.1:{port}/{status}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"found {status}" in line
    assert '{"database": "no answer within 3 s"}' in line
    assert "expected a 2xx" in line


def test_nobody_listening_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as free:
        pass
    assert main([f"http://127.0.0.1:{free}/health"]) == 1
    assert "ConnectionRefusedError" in capsys.readouterr().err


def test_a_server_that_does_not_answer_fails_within_the_timeout(port: int) -> None:
    started = time.monotonic()
    answer = probe(f"http://127.0.0.1:{port}/hangs", timeout_s=0.2)
    assert not answer.is_well
    assert "timed out" in answer.found
    assert time.monotonic() - started < 2


def test_the_name_to_ask_for_may_differ_from_the_address(port: int) -> None:
    assert not probe(f"http://127.0.0.1:{port}/host").is_well
    assert probe(f"http://127.0.0.1:{port}/host", host="site.example").is_well


def test_https_verifies_the_name_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed("site.example", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as port:
        url = f"https://127.0.0.1:{port}/host"
        assert "CERTIFICATE_VERIFY_FAILED" in probe(url, host="site.example").found
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert probe(url, host="site.example").is_well
        assert "other.example" in probe(url, host="other.example").found


def self_signed(name: str, folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "site.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize("url", ["health", "ftp://127.0.0.1/", "http:///health", "http://127.0.0.1:port/"])
def test_what_is_no_address_is_wrong_use(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([url])
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_it_costs_too_little_to_matter_every_few_seconds(port: int) -> None:
    """Processor time: what passes on the clock depends on who else is at work."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        url = f"http://127.0.0.1:{port}/200"
        subprocess.run([sys.executable, "-m", "remotegpu.kit.probe", url], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(5)) < CHEAP_S
