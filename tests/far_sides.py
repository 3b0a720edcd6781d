"""Other sides of alert channels on this computer: robots that judge what they get as the real ones do, over TLS."""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from remotegpu.kit import certificates
from remotegpu.kit.certificates import Pair
from remotegpu.kit.clock import utc_now

KEY = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"
SECRET = "SECret-of-the-robot"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WECOM_MOST_BYTES, WECOM_A_MINUTE = 4096, 20
FRESH_S = 3600


@dataclass(frozen=True)
class Got:
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # Any: what JSON holds
        return json.loads(self.body)


Answer = tuple[int, bytes]
Judge = Callable[["Other", Got], Answer]


@dataclass
class Other:
    """``taken``: what it said yes to. ``judge`` may be replaced while it runs, as the world changes."""

    judge: Judge
    taken: list[Got] = field(default_factory=list[Got])
    asked: int = 0
    port: int = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"https://{host}:{self.port}{path}"


def _said(**answer: object) -> Answer:
    return 200, json.dumps(answer).encode()


def _is_yes(status: int, said: bytes) -> bool:
    return status < 300 and (not said or any(yes in said for yes in (b'"errcode": 0', b'"code": 0')))


def wecom(other: Other, got: Got) -> Answer:
    if got.query.get("key") != KEY:
        return _said(errcode=93000, errmsg=f"invalid webhook url, {got.query.get('key')}")
    content = got.json["markdown"]["content"]
    if len(content.encode()) > WECOM_MOST_BYTES:
        return _said(errcode=40058, errmsg="markdown.content exceed max length 4096")
    if len(other.taken) >= WECOM_A_MINUTE:
        return _said(errcode=45009, errmsg="api freq out of limit")
    return _said(errcode=0, errmsg="ok")


def dingtalk(_other: Other, got: Got) -> Answer:
    stamp = got.query.get("timestamp", "0")
    code = hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()
    if got.query.get("sign") != base64.b64encode(code).decode():
        return _said(errcode=310000, errmsg="sign not match")
    if abs(time.time() - int(stamp) / 1000) > FRESH_S:
        return _said(errcode=310000, errmsg="invalid timestamp")
    return _said(errcode=0, errmsg="ok")


def feishu(_other: Other, got: Got) -> Answer:
    stamp = got.json.get("timestamp", "0")
    code = hmac.new(f"{stamp}\n{SECRET}".encode(), b"", hashlib.sha256).digest()
    if got.json.get("sign") != base64.b64encode(code).decode() or abs(time.time() - int(stamp)) > FRESH_S:
        return _said(code=19021, msg="sign match fail or timestamp is not within one hour from current time")
    return _said(code=0, msg="success", data={})


def webhook(_other: Other, got: Got) -> Answer:
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    code = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return (204, b"") if got.headers["webhook-signature"] == f"v1,{code}" else (401, b"no such signature")


def always(status: int, body: bytes) -> Judge:
    return lambda _other, _got: (status, body)


def slow(seconds: float) -> Judge:
    def judge(_other: Other, _got: Got) -> Answer:
        time.sleep(seconds)
        return _said(errcode=0)

    return judge


@dataclass(frozen=True)
class Authority:
    """``ca``: the file to trust. ``server``: certificate and key of everything here."""

    ca: Path
    server: ssl.SSLContext


def authority(folder: Path, names: tuple[str, ...] = ("127.0.0.1", "localhost")) -> Authority:
    signer = certificates.new_authority("tests", utc_now(), timedelta(days=1))
    (folder / "ca.pem").write_text(signer.certificate)
    return Authority(
        folder / "ca.pem",
        _server_side(folder, certificates.issue(signer, names, utc_now(), timedelta(days=1))),
    )


def _server_side(folder: Path, pair: Pair) -> ssl.SSLContext:
    (folder / "server.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


@contextmanager
def running(judge: Judge, trust: Authority, host: str = "127.0.0.1") -> Iterator[Other]:
    other = Other(judge)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got = Got(parts.path, query, dict(self.headers), body)
            other.asked += 1
            status, said = other.judge(other, got)
            if _is_yes(status, said):
                other.taken.append(got)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            if said:
                self.wfile.write(said)

        def log_message(self, *args: object) -> None:
            """Nothing: what it got is asked for."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Somebody who went away is what some tests want."""

    server = Server((host, 0), Handler)
    server.socket = trust.server.wrap_socket(server.socket, server_side=True)
    other.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield other
    finally:
        server.shutdown()
        server.server_close()
