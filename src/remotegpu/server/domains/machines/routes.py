"""``/machines`` and ``/join-tokens``."""

import uuid
from typing import Annotated

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.datastructures import State
from litestar.params import Parameter, QueryParameter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.server.core.context import Caller
from remotegpu.server.core.guards import ADMIN, ANYONE, caller_of_request
from remotegpu.server.core.paging import Page, Paging, fetch_page, like, order_by
from remotegpu.server.core.patterns import NO_NUL, WITHOUT_NUL
from remotegpu.server.core.services import Services
from remotegpu.server.domains.machines import repository, samples, service, tokens
from remotegpu.server.domains.machines.lists import MachineLists
from remotegpu.server.domains.machines.models import JoinToken
from remotegpu.server.domains.machines.schemas import (
    JoinTokenCreate,
    JoinTokenCreated,
    JoinTokenView,
    MachineChange,
    MachineDetail,
    MachineState,
    MachineView,
    Samples,
)

TOKENS_SORTABLE = {name: getattr(JoinToken, name) for name in ("id", "name", "expires_at", "created_at")}
Minutes = Annotated[int, Parameter(ge=1, le=60)]
Text = Annotated[str | None, Parameter(max_length=100, pattern=WITHOUT_NUL, description=NO_NUL)]
SPARKLINE_POINTS = 240


@get("/machines", guards=[ANYONE])
async def list_machines(
    state: State,
    paging: Paging,
    machine_state: Annotated[MachineState | None, QueryParameter(name="state")] = None,
    reachable: bool | None = None,
    simulated: bool | None = None,
    maintenance: bool | None = None,
    customer_id: uuid.UUID | None = None,
    gpu_model: Text = None,
    region: Text = None,
) -> Response[Page[MachineView]]:
    """Machines: all for admins, the own leased ones for customers."""
    filters = {
        "state": machine_state,
        "reachable": reachable,
        "simulated": simulated,
        "maintenance": maintenance,
        "customer_id": customer_id,
        "gpu_model": gpu_model,
        "region": region,
    }
    lists: MachineLists = state["machine_lists"]
    body = await lists.page(caller_of_request(), paging, filters)
    return Response(body, media_type="application/json")  # pyright: ignore[reportReturnType] - the page, encoded already


@get("/machines/{machine_id:uuid}", guards=[ANYONE])
async def get_machine(
    tx: AsyncSession, services: Services, caller: Caller, machine_id: uuid.UUID
) -> MachineDetail:
    """One machine with its inventory."""
    row = await repository.find(tx, caller, machine_id)
    live = await samples.latest(services.redis, [machine_id])
    return service.detail(row, live.get(machine_id))


@patch("/machines/{machine_id:uuid}", guards=[ADMIN])
async def change_machine(
    tx: AsyncSession, services: Services, caller: Caller, machine_id: uuid.UUID, data: MachineChange
) -> MachineDetail:
    """Rename, move, switch maintenance."""
    await service.change_machine(tx, machine_id, data)
    await tx.flush()
    tx.expire_all()
    row = await repository.find(tx, caller, machine_id)
    live = await samples.latest(services.redis, [machine_id])
    return service.detail(row, live.get(machine_id))


@delete("/machines/{machine_id:uuid}", guards=[ADMIN])
async def delete_machine(tx: AsyncSession, machine_id: uuid.UUID) -> None:
    """Forget a machine that was never leased."""
    await service.delete_machine(tx, machine_id)


@get("/machines/{machine_id:uuid}/samples", guards=[ANYONE])
async def machine_samples(
    tx: AsyncSession, services: Services, caller: Caller, machine_id: uuid.UUID, minutes: Minutes = 60
) -> Samples:
    """History of the live figures, for sparklines."""
    await repository.find(tx, caller, machine_id)
    since = utc_now().timestamp() - minutes * 60
    return Samples(items=await samples.history(services.redis, machine_id, since, SPARKLINE_POINTS))


@post("/machines/{machine_id:uuid}/watch", guards=[ANYONE], status_code=204)
async def watch_machine(tx: AsyncSession, services: Services, caller: Caller, machine_id: uuid.UUID) -> None:
    """Somebody is looking: sample often for the next 30 seconds."""
    await repository.find(tx, caller, machine_id)
    fresh = not await samples.is_watched(services.redis, machine_id)
    await samples.watch(services.redis, machine_id, caller.customer_id)
    if fresh:
        await service.bump(tx, machine_id)


@get("/join-tokens", guards=[ADMIN])
async def list_join_tokens(tx: AsyncSession, paging: Paging) -> Page[JoinTokenView]:
    """Join tokens, newest first. The secrets are not kept."""
    query = select(JoinToken)
    if paging.search:
        query = query.where(JoinToken.name.ilike(like(paging.search)))
    rows, total = await fetch_page(
        tx, query.order_by(*order_by(paging, TOKENS_SORTABLE, "-created_at")), paging
    )
    items = [tokens.join_token_view(row[0]) for row in rows]
    return Page(items=items, total=total, page=paging.page, page_size=paging.page_size)


@post("/join-tokens", guards=[ADMIN])
async def create_join_token(
    tx: AsyncSession, services: Services, caller: Caller, data: JoinTokenCreate
) -> JoinTokenCreated:
    """A token that lets hosts enrol; shown this once together with the command to run on the host."""
    row, secret = await tokens.create_join_token(tx, caller, data)
    command = f"printf %s '{secret}' | remotegpu agent enroll --server {services.settings.public_url} --token-file -"
    return JoinTokenCreated(
        **msgspec.structs.asdict(tokens.join_token_view(row)), token=secret, command=command
    )


@delete("/join-tokens/{token_id:uuid}", guards=[ADMIN])
async def revoke_join_token(tx: AsyncSession, token_id: uuid.UUID) -> None:
    """No further machine can use it; machines that did stay."""
    await tokens.revoke_join_token(tx, token_id)


@post("/machines/{machine_id:uuid}/rotate-token", guards=[ADMIN], status_code=202)
async def rotate_token(tx: AsyncSession, machine_id: uuid.UUID) -> None:
    """Ask the machine's agent to take a new node token; the old one stays valid for an hour after it did."""
    await tokens.request_rotation(tx, machine_id)


router = Router(
    path="/",
    route_handlers=[
        list_machines,
        get_machine,
        change_machine,
        delete_machine,
        machine_samples,
        watch_machine,
        rotate_token,
        list_join_tokens,
        create_join_token,
        revoke_join_token,
    ],
    tags=["machines"],
)
