"""``/agent``: everything an agent calls. Authenticated with its node token, except enrolment."""

import re
import uuid
from typing import Annotated, Literal

from litestar import Request, Router, post, websocket
from litestar.handlers.base import BaseRouteHandler
from litestar.params import Parameter
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.protocol import streams as wire
from remotegpu.protocol.attempts import LOG_CHUNK_BYTES, ArtifactOffer, ArtifactUpload, LogAck
from remotegpu.protocol.enrolment import EnrolRequest, EnrolResponse, TokenRotation
from remotegpu.protocol.sync import SyncRequest, SyncResponse
from remotegpu.protocol.version import PROTOCOL_HEADER
from remotegpu.server.agents import attempts
from remotegpu.server.agents.authentication import Node, Nodes, check_version
from remotegpu.server.agents.sync import Sync
from remotegpu.server.core import context
from remotegpu.server.core.errors import FieldProblem, InvalidError, RemoteGPUError
from remotegpu.server.core.guards import AGENT, Connection
from remotegpu.server.core.services import Services
from remotegpu.server.domains.access import streams
from remotegpu.server.domains.machines import tokens
from remotegpu.server.domains.tasks import logs

AgentRequest = Request[None, None, object]  # pyright: ignore[reportInvalidTypeArguments]
MACHINE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


async def let_in(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard: finds the machine behind the node token before a body is read. A dependency would come after it."""
    nodes: Nodes = connection.app.state["nodes"]
    connection.scope["user"] = await nodes.authenticate(connection.headers.get("authorization"))


NODE = [AGENT, let_in]


async def provide_node(request: AgentRequest) -> Node:
    """Litestar dependency ``node``: the machine that :func:`let_in` found."""
    node = request.scope["user"]
    assert isinstance(node, Node)
    return node


@post("/agent/enroll", guards=[AGENT], status_code=201)
async def enrol(tx: AsyncSession, data: EnrolRequest) -> EnrolResponse:
    """Exchange a join token for a machine and its node token."""
    check_version(data.protocol_version)
    _check_name(data.name)
    machine, token = await tokens.enrol(tx, data)
    return EnrolResponse(machine_id=str(machine.id), agent_token=token)


@post("/agent/token", guards=NODE, status_code=200)
async def rotate_token(tx: AsyncSession, node: Node) -> TokenRotation:
    """A new node token; the one used for this call stays valid for an hour."""
    token, overlap = await tokens.rotate_node_token(tx, node.machine_id)
    return TokenRotation(agent_token=token, overlap_s=overlap)


@post("/agent/sync", guards=NODE, status_code=200)
async def sync(request: AgentRequest, node: Node, data: SyncRequest) -> SyncResponse:
    """Report what is, get what should be: at once when it changed, else within about 25 s."""
    poll: Sync = request.app.state["sync"]
    return await poll.answer(node, data)


@post(
    "/agent/attempts/{attempt_id:uuid}/log",
    guards=NODE,
    status_code=200,
    request_max_body_size=LOG_CHUNK_BYTES,
)
async def push_log(
    request: AgentRequest,
    services: Services,
    node: Node,
    attempt_id: uuid.UUID,
    offset: Annotated[int, Parameter(ge=0, le=2**53)],
    final: Literal["0", "1"] = "0",
) -> LogAck:
    """Raw bytes of an attempt's log, stored when ``offset`` is where the log ends."""
    body = await request.body()
    return await logs.push(services, node.machine_id, attempt_id, offset, body, final=final == "1")


@post("/agent/attempts/{attempt_id:uuid}/artifacts", guards=NODE, status_code=200)
async def offer_artifacts(
    services: Services, node: Node, attempt_id: uuid.UUID, data: ArtifactOffer
) -> ArtifactUpload:
    """Presigned URLs for the files an attempt left."""
    return await attempts.upload_urls(services, node.machine_id, attempt_id, data)


@websocket("/agent/streams/{stream_id:uuid}", guards=[AGENT])
async def stream(socket: streams.Socket, stream_id: uuid.UUID) -> None:
    """The byte stream of one session. ``via`` in the URL names this instance; a proxy routes on it."""
    nodes: Nodes = socket.app.state["nodes"]
    registry: streams.Streams = socket.app.state["streams"]
    await socket.accept()
    try:
        check_version(socket.headers.get(PROTOCOL_HEADER, ""))
        node = await nodes.authenticate(socket.headers.get("authorization"))
    except RemoteGPUError as error:
        context.refuse(error)
        await streams.Channel(socket).close(wire.CLOSE_REFUSED, error.detail)
        return
    if not await registry.serve(stream_id, node.machine_id, socket):
        await streams.Channel(socket).close(wire.CLOSE_REFUSED, "nobody waits for this stream here any more")


def _check_name(name: str) -> None:
    if not MACHINE_NAME.fullmatch(name):
        raise InvalidError(
            "this machine name cannot be used",
            code="invalid_machine_name",
            errors=[FieldProblem("name", name[:80], "1 to 63 letters, digits, dots, dashes or underscores")],
        )


router = Router(
    path="/",
    route_handlers=[enrol, rotate_token, sync, push_log, offer_artifacts, stream],
    dependencies={"node": provide_node},
    tags=["agent"],
)
