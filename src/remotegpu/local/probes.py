"""Is a service ready? One short, bounded question per kind; answers are bool, never an exception."""

import http.client
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_TIMEOUT_S = 1.0


class Probe(Protocol):
    """``is_ready`` takes at most a second or two."""

    def is_ready(self) -> bool: ...


@dataclass(frozen=True)
class PostgresProbe:
    """As ``pg_isready``: begin a connection; a request for a password means that connections are accepted."""

    port: int

    def is_ready(self) -> bool:
        body = struct.pack("!I", 196_608) + b"user\0postgres\0database\0postgres\0\0"
        try:
            with socket.create_connection(("127.0.0.1", self.port), _TIMEOUT_S) as connection:
                connection.sendall(struct.pack("!I", len(body) + 4) + body)
                return connection.recv(1) == b"R"
        except OSError:
            return False


@dataclass(frozen=True)
class ValkeyProbe:
    """Sign in and ping. Both answers are compared: an unauthenticated ping is answered too, with an error."""

    port: int
    password_file: Path

    def is_ready(self) -> bool:
        try:
            password = self.password_file.read_text(encoding="utf-8").strip().encode()
            with socket.create_connection(("127.0.0.1", self.port), _TIMEOUT_S) as connection:
                connection.sendall(_command(b"AUTH", password) + _command(b"PING"))
                with connection.makefile("rb") as answers:
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False


def _command(*words: bytes) -> bytes:
    """A RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


@dataclass(frozen=True)
class HttpProbe:
    """``GET path`` answers 200. ``timeout_s`` is longer where the answer asks other services."""

    port: int
    path: str
    timeout_s: float = _TIMEOUT_S

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        try:
            connection.request("GET", self.path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
