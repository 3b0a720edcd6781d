"""The server: wires the domains together into one ASGI application."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from litestar import Litestar, Request, Response, Router, get
from litestar.config.response_cache import ResponseCacheConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.response import Redirect

from remotegpu import __version__
from remotegpu.kit.memory import collect_rarely
from remotegpu.server import console, health, refusals
from remotegpu.server.agents import routes as agents
from remotegpu.server.agents.authentication import Nodes
from remotegpu.server.agents.heartbeats import Heartbeats
from remotegpu.server.agents.sync import Sync
from remotegpu.server.core import guards, openapi_document, paging, parameters
from remotegpu.server.core import openapi as documentation
from remotegpu.server.core.bodies import JsonRequest
from remotegpu.server.core.services import Services, open_services, provide_services
from remotegpu.server.core.unit_of_work import provide_tx
from remotegpu.server.domains.access import instances
from remotegpu.server.domains.access import routes as access
from remotegpu.server.domains.access.streams import Streams
from remotegpu.server.domains.allocations import routes as allocations
from remotegpu.server.domains.audit import routes as audit
from remotegpu.server.domains.auth import routes as auth
from remotegpu.server.domains.auth.callers import Callers
from remotegpu.server.domains.auth.middleware import PersonAuthentication
from remotegpu.server.domains.customers import routes as customers
from remotegpu.server.domains.machines import routes as machines
from remotegpu.server.domains.machines.lists import MachineLists
from remotegpu.server.domains.monitoring import routes as monitoring
from remotegpu.server.domains.tasks import routes as tasks
from remotegpu.server.settings import Settings
from remotegpu.server.signals import connect_signals

MAX_BODY = 2 * 1024 * 1024
"""Largest body of an ordinary call; artifacts go to the object store directly."""

OPENAPI = "openapi_document"
"""Where the application keeps the encoded document once somebody has asked for it."""
PEOPLE = [auth, customers, machines, allocations, tasks, access, audit, monitoring]


def api() -> Router:
    """Everything below ``/api/v1``."""
    people = Router(
        "/", route_handlers=[domain.router for domain in PEOPLE], middleware=[PersonAuthentication]
    )
    return Router("/api/v1", route_handlers=[people, agents.router])


def openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="RemoteGPU",
        version=__version__,
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        openapi_router=Router(
            "/api/v1/schema", route_handlers=[], guards=[guards.PUBLIC], include_in_schema=False
        ),
        security=[{"bearer": []}],
        components=documentation.SCHEMES,
    )


@get("/api/v1/openapi.json", guards=[guards.PUBLIC], include_in_schema=False, sync_to_thread=False)
def openapi_json(request: Request[None, None, State]) -> Response[bytes]:
    """The OpenAPI document."""
    if OPENAPI not in request.app.state:
        request.app.state[OPENAPI] = msgspec.json.encode(openapi_document.document(request.app))
    return Response(request.app.state[OPENAPI], media_type="application/json")


@get("/api/v1/docs", guards=[guards.PUBLIC], include_in_schema=False, sync_to_thread=False)
def docs_page() -> Redirect:
    """The reference for people, part of the console's files."""
    return Redirect("/api-docs/index.html")


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncGenerator[None]:
    """Start what runs beside requests, stop it in reverse."""
    services: Services = app.state["services"]
    heartbeats: Heartbeats = app.state["heartbeats"]
    services.hub.start()
    nodes: Nodes = app.state["nodes"]
    callers: Callers = app.state["callers"]
    lists: MachineLists = app.state["machine_lists"]
    beside = [
        asyncio.create_task(heartbeats.run(), name="flush-heartbeats"),
        asyncio.create_task(collect_rarely(), name="collect-garbage"),
    ]
    async with instances.announcing(services):
        with nodes.listening(), callers.listening(), lists.listening():
            yield
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    await services.close()


def create_app(settings: Settings) -> Litestar:
    """The application for one process."""
    connect_signals()
    services = open_services(settings)
    heartbeats = Heartbeats(services)
    app = Litestar(
        route_handlers=[
            api(),
            health.health,
            health.ready,
            health.metrics,
            *console.handlers(),
            openapi_json,
            docs_page,
        ],
        dependencies={
            "services": Provide(provide_services),
            "tx": Provide(provide_tx),
            "caller": Provide(guards.provide_caller),
            "paging": Provide(paging.provide_paging, sync_to_thread=False),
        },
        exception_handlers={Exception: refusals.answer},
        after_exception=[refusals.note, refusals.log_broken_stream],
        request_class=JsonRequest,
        before_request=parameters.refuse_ambiguous,
        lifespan=[lifespan],
        openapi_config=openapi(),
        request_max_body_size=MAX_BODY,
        response_cache_config=ResponseCacheConfig(),
        logging_config=None,
    )
    app.state.update(
        services=services,
        heartbeats=heartbeats,
        nodes=Nodes(services),
        callers=Callers(services),
        machine_lists=MachineLists(services),
        streams=Streams(),
        sync=Sync(services, heartbeats),
    )
    documentation.complete(app)
    return app
