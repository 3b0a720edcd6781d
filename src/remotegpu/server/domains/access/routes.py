"""SSH certificates, terminals, SSH streams, and the list of sessions."""

import uuid
from typing import Annotated

import asyncssh
from litestar import Router, get, post, websocket
from litestar.params import Parameter, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.server.core import context
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import ConflictError
from remotegpu.server.core.guards import ANYONE, caller_of_request
from remotegpu.server.core.paging import Page, Paging, fetch_page, order_by
from remotegpu.server.core.patterns import AT_END
from remotegpu.server.core.services import Services
from remotegpu.server.domains.access import certificates, connections, repository, service, streams, terminal
from remotegpu.server.domains.access.models import AccessSession
from remotegpu.server.domains.access.schemas import (
    Certificate,
    CertificateRequest,
    SessionState,
    SessionView,
    Ticket,
)
from remotegpu.server.domains.access.streams import Channel, Socket, Traffic
from remotegpu.server.domains.allocations import repository as leases
from remotegpu.server.domains.allocations.models import Allocation
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.auth import tickets
from remotegpu.server.domains.machines.models import Machine

SORTABLE = {name: getattr(AccessSession, name) for name in ("id", "started_at", "ended_at", "state")}
ShellId = Annotated[
    str, Parameter(pattern=rf"^[A-Za-z0-9_-]{{1,64}}{AT_END}", description="Same id: the same shell again")
]
Cells = Annotated[int, Parameter(ge=1, le=1000)]


@post("/machines/{machine_id:uuid}/ssh-certificate", guards=[ANYONE], status_code=200)
async def create_certificate(
    tx: AsyncSession, services: Services, caller: Caller, machine_id: uuid.UUID, data: CertificateRequest
) -> Certificate:
    """Sign a public key for five minutes, for a machine leased to the caller."""
    allocation = await leases.usable(tx, caller, machine_id)
    signed = certificates.sign(
        services.settings.ssh_ca_key,
        data.public_key,
        user_id=caller.user_id,
        allocation_id=allocation.id,
        now=utc_now(),
    )
    audit.record(tx, "ssh_certificate.sign", "machine", machine_id, customer_id=allocation.customer_id)
    host_key = await _host_key(tx, machine_id)
    return Certificate(
        certificate=signed.certificate,
        account=allocation.account,
        host_key=host_key,
        expires_at=signed.expires_at,
    )


@post("/machines/{machine_id:uuid}/terminal-ticket", guards=[ANYONE], status_code=200)
async def create_ticket(
    tx: AsyncSession, services: Services, caller: Caller, machine_id: uuid.UUID
) -> Ticket:
    """A one-use ticket for this machine's terminal."""
    await leases.usable(tx, caller, machine_id)
    path = f"/api/v1/machines/{machine_id}/terminal"
    return Ticket(ticket=await tickets.issue(services.redis, caller, path))


@websocket("/machines/{machine_id:uuid}/ssh", guards=[ANYONE])
async def ssh_stream(socket: Socket, services: Services, machine_id: uuid.UUID) -> None:
    """SSH bytes in binary frames, to the SSH server inside the machine's agent."""

    async def talk(agent: Channel, _session: AccessSession, _allocation: Allocation, traffic: Traffic) -> str:
        return await streams.splice(person, agent, traffic)

    person = Channel(socket)
    await _serve(person, services, machine_id, "ssh", talk)


@websocket("/machines/{machine_id:uuid}/terminal", guards=[ANYONE])
async def terminal_stream(
    socket: Socket,
    services: Services,
    machine_id: uuid.UUID,
    shell: ShellId,
    cols: Cells = 80,
    rows: Cells = 24,
) -> None:
    """The browser's terminal. Binary frames are bytes of the terminal, text frames JSON control messages."""
    caller, person = caller_of_request(), Channel(socket)

    async def talk(agent: Channel, session: AccessSession, allocation: Allocation, traffic: Traffic) -> str:
        async with services.sessions() as tx:
            host_key = await _host_key(tx, machine_id)
        key, certificate = certificates.ephemeral(
            services.settings.ssh_ca_key, user_id=caller.user_id, allocation_id=allocation.id, now=utc_now()
        )
        wanted = terminal.Shell(
            account=allocation.account,
            host_key=host_key,
            key=key,
            certificate=certificate,
            shell=shell,
            cols=cols,
            rows=rows,
        )
        return await terminal.run(person, agent, wanted, str(session.id), traffic)

    await _serve(person, services, machine_id, "terminal", talk)


@get("/sessions", guards=[ANYONE])
async def list_sessions(
    tx: AsyncSession,
    caller: Caller,
    paging: Paging,
    session_state: Annotated[SessionState | None, QueryParameter(name="state")] = None,
    machine_id: uuid.UUID | None = None,
) -> Page[SessionView]:
    """Sessions: all for admins, the company's for its owner, the own ones for members. Newest first."""
    query = repository.sessions(caller)
    for column, value in {AccessSession.state: session_state, AccessSession.machine_id: machine_id}.items():
        if value is not None:
            query = query.where(column == value)
    rows, total = await fetch_page(tx, query.order_by(*order_by(paging, SORTABLE, "-id")), paging)
    items = [service.view((row[0], row[1], row[2])) for row in rows]
    return Page(items=items, total=total, page=paging.page, page_size=paging.page_size)


async def _serve(
    person: Channel, services: Services, machine_id: uuid.UUID, protocol: str, talk: connections.Talk
) -> None:
    await person.socket.accept()
    request = connections.Request(
        caller=caller_of_request(),
        machine_id=machine_id,
        protocol=protocol,
        address=context.current().address,
    )
    connection = connections.Connection(services, person, request, talk)
    await connection.serve(person.socket.app.state["streams"])


async def _host_key(tx: AsyncSession, machine_id: uuid.UUID) -> str:
    machine = await tx.get(Machine, machine_id)
    host_key = str((machine.inventory or {}).get("ssh_host_key", "")) if machine else ""
    try:
        asyncssh.import_public_key(host_key)
    except (asyncssh.KeyImportError, ValueError) as error:
        raise ConflictError(
            "this machine has not reported its SSH host key; wait for its agent's next report",
            code="no_host_key",
        ) from error
    return host_key


router = Router(
    path="/",
    route_handlers=[create_certificate, create_ticket, ssh_stream, terminal_stream, list_sessions],
    tags=["access"],
)
