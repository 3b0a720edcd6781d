"""The front door from outside: the site's domain, its published port, its own authority."""

import http.client
import json
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 20
HERE = "127.0.0.1"


class RefusedError(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:300]}")
        self.status = status


@dataclass(frozen=True)
class Door:
    """Over TLS, verified, by name; that the name means this machine is known here alone."""

    domain: str
    port: int
    authority: Path

    def ask(self, method: str, path: str, body: object = None, *, token: str = "") -> Any:  # Any: JSON
        """Raises :class:`RefusedError`, and what ``http.client`` raises."""
        status, text = self.fetch(method, path, body, token=token)
        if not 200 <= status < 300:
            raise RefusedError(status, text)
        return json.loads(text) if text else None

    def fetch(self, method: str, path: str, body: object = None, *, token: str = "") -> tuple[int, str]:
        headers = {"Content-Type": "application/json", "X-Token-Delivery": "body"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = Connection(self)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def answers(self) -> bool:
        """Whether a customer would see the site now."""
        return all(
            self.fetch("GET", path)[0] == 200 for path in ("/health/ready", "/", "/api/v1/openapi.json")
        )


class Connection(http.client.HTTPSConnection):
    """To the published port on this machine, whatever the name says."""

    def __init__(self, door: Door) -> None:
        self.context = ssl.create_default_context(cafile=door.authority)
        super().__init__(door.domain, door.port, timeout=TIMEOUT_S, context=self.context)

    def connect(self) -> None:
        plain = socket.create_connection((HERE, self.port), TIMEOUT_S)
        self.sock = self.context.wrap_socket(plain, server_hostname=self.host)


def resolve_here(domain: str) -> None:
    """In a process of its own: from now on ``domain`` means this machine."""
    real = socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **more: Any) -> Any:  # Any: whatever the library's own takes
        return real(HERE if host in {domain, domain.encode()} else host, *arguments, **more)

    socket.getaddrinfo = resolve


def environment(domain: str, authority: Path) -> dict[str, str]:
    """For such a process: OpenSSL reads whom to trust before any of its code runs."""
    return {"SSL_CERT_FILE": str(authority), "SITE_DOMAIN": domain}


def enter() -> None:
    """First thing in such a process."""
    resolve_here(os.environ["SITE_DOMAIN"])
