"""Every route, read from the application itself: a new one is covered without anybody thinking of it."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import asyncssh
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute

from remotegpu.server import settings
from remotegpu.server.administration import _PLACEHOLDERS
from remotegpu.server.app import create_app
from remotegpu.server.core import guards
from remotegpu.server.core.context import Role
from remotegpu.server.core.guards import Allow

PARAMETER = re.compile(r"([^/]+)/\{(\w+):\w+\}")


@dataclass(frozen=True)
class Endpoint:
    """``parameters``: (path segment before it, name) of each path parameter. ``query``: names of query parameters."""

    name: str
    method: str
    path: str
    allow: Allow | None
    parameters: tuple[tuple[str, str], ...]
    query: tuple[str, ...]
    has_body: bool
    streams: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.name})"

    @property
    def declared(self) -> Allow:
        assert self.allow is not None, f"{self} declares no guard"
        return self.allow

    @property
    def changes(self) -> bool:
        return self.method in {"POST", "PATCH", "PUT", "DELETE"}

    @property
    def is_for_people(self) -> bool:
        return bool(self.declared.roles)

    def admits(self, role: Role) -> bool:
        return role in self.declared.roles

    def filled(self, values: dict[tuple[str, str], str]) -> str:
        """The path with ``values`` in place of its parameters. Fails for a parameter nobody has taught us to fill."""
        unknown = [key for key in self.parameters if key not in values]
        assert not unknown, f"{self}: teach the tests which object {unknown} names (world.py, Company.values)"
        return PARAMETER.sub(lambda match: f"{match[1]}/{values[match[1], match[2]]}", self.path)


@cache
def application() -> Any:  # Any: Litestar is generic over nothing we use
    """The application, unstarted and connected to nothing."""
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    return create_app(settings.load({**_PLACEHOLDERS, "SSH_CA_KEY": key}))


@cache
def endpoints() -> tuple[Endpoint, ...]:
    """All of them, HTTP and WebSocket; OPTIONS and HEAD are Litestar's own and say nothing of us."""
    found: list[Endpoint] = []
    for route in application().routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                methods = sorted(set(handler.http_methods) - {"OPTIONS", "HEAD"})
                found += [_endpoint(route.path, method, handler) for method in methods]
        elif isinstance(route, WebSocketRoute):
            found.append(_endpoint(route.path, "WS", route.route_handler))
        else:
            raise TypeError(f"{route.path} is a route of a kind these tests do not know: {type(route)}")
    return tuple(sorted(found, key=lambda endpoint: (endpoint.path, endpoint.method)))


def api() -> tuple[Endpoint, ...]:
    """Those below ``/api/v1`` that somebody has to be let in to."""
    return tuple(e for e in endpoints() if e.path.startswith("/api/v1") and not e.declared.public)


def _endpoint(path: str, method: str, handler: Any) -> Endpoint:  # Any: one of several handler classes
    signature = handler.parsed_fn_signature.parameters
    path_names = {name for _, name in PARAMETER.findall(path)}
    query = [
        getattr(field.kwarg_definition, "name", None)
        or getattr(field.kwarg_definition, "query", None)
        or name
        for name, field in signature.items()
        if name not in path_names and name not in _INJECTED
    ]
    returned = str(handler.parsed_fn_signature.return_type.annotation)
    return Endpoint(
        name=str(handler.handler_name),
        method=method,
        path=path,
        allow=guards.declared(handler),
        parameters=tuple(PARAMETER.findall(path)),
        query=tuple(query),
        has_body=isinstance(handler, HTTPRouteHandler) and handler.parsed_data_field is not None,
        streams="ServerSentEvent" in returned,
    )


_INJECTED = {"tx", "services", "caller", "paging", "data", "key", "delivery", "request", "socket", "node"}
