"""``python -m remotegpu.kit.probe URL``: whether a server answers with a 2xx, for a container's health check.

Standard library only: it runs every few seconds in each container, and must not load the program it looks at.
"""

import argparse
import http.client
import ssl
import sys
import urllib.parse
from dataclasses import dataclass

PATIENCE_S = 3.0
SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Answer:
    """``found``: the status line and the start of the body, or why there is no answer."""

    is_well: bool
    found: str


def probe(url: str, *, host: str | None = None, timeout_s: float = PATIENCE_S) -> Answer:
    """Asks once and follows no redirect. ``host``: the name to ask for (and to verify) when the URL holds an address.

    Raises :class:`ValueError` when ``url`` is not an HTTP address.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"found URL {url!r}, expected http://HOST[:PORT]/PATH or https://…")
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    connection = _connection(parts, host, timeout_s)
    try:
        connection.request("GET", path, headers={"Host": host or parts.netloc, "Connection": "close"})
        response = connection.getresponse()
        body = response.read(4 * SHOWN_CHARACTERS)
    except (OSError, http.client.HTTPException) as error:
        return Answer(is_well=False, found=f"{type(error).__name__}: {error}")
    finally:
        connection.close()
    text = " ".join(body.decode(errors="replace").split())[:SHOWN_CHARACTERS]
    return Answer(
        is_well=200 <= response.status < 300,
        found=" ".join(filter(None, [f"{response.status} {response.reason}".strip(), text])),
    )


def _connection(
    parts: urllib.parse.SplitResult, host: str | None, timeout_s: float
) -> http.client.HTTPConnection:
    address = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(address, parts.port, timeout=timeout_s)
    return _NamedHTTPSConnection(address, parts.port, timeout=timeout_s, name=host or address)


class _NamedHTTPSConnection(http.client.HTTPSConnection):
    """Connects to one address and verifies the certificate of another name."""

    def __init__(self, address: str, port: int | None, *, timeout: float, name: str) -> None:
        self._verifying = ssl.create_default_context()
        self._name = name
        super().__init__(address, port, timeout=timeout, context=self._verifying)

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._verifying.wrap_socket(self.sock, server_hostname=self._name)


def main(arguments: list[str] | None = None) -> int:
    """0: a 2xx; 1: anything else, with one line of what was found; 2: wrong use."""
    parser = argparse.ArgumentParser(prog="remotegpu.kit.probe", description="Ask a URL once; 0 means a 2xx.")
    parser.add_argument("url")
    parser.add_argument("--host", help="the name to ask for, when URL holds an address")
    parser.add_argument("--timeout", type=float, default=PATIENCE_S, metavar="S", help="seconds (default: 3)")
    options = parser.parse_args(arguments)
    try:
        answer = probe(options.url, host=options.host, timeout_s=options.timeout)
    except ValueError as error:
        parser.error(str(error))
    if not answer.is_well:
        print(f"{options.url}: found {answer.found}, expected a 2xx answer", file=sys.stderr)  # noqa: T201 - a program
    return 0 if answer.is_well else 1


if __name__ == "__main__":
    raise SystemExit(main())
