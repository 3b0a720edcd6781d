"""``/tasks`` and ``/artifacts``."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from litestar import Response, Router, get, post
from litestar.params import Parameter, QueryParameter
from litestar.response import ServerSentEvent, Stream
from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core import idempotency
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import NotFoundError
from remotegpu.server.core.guards import ANYONE
from remotegpu.server.core.paging import Page, Paging, fetch_page, like, order_by
from remotegpu.server.core.services import Services
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.domains.tasks import following, repository, service
from remotegpu.server.domains.tasks.models import Artifact, Task
from remotegpu.server.domains.tasks.schemas import (
    ArtifactDownload,
    Artifacts,
    TaskCreate,
    TaskDetail,
    TaskState,
    TaskView,
)

SORTABLE = {
    name: getattr(Task, name) for name in ("id", "name", "state", "priority", "created_at", "finished_at")
}
Offset = Annotated[int, Parameter(ge=0, le=2**53, description="Byte to start from")]
Number = Annotated[int | None, Parameter(ge=1, le=1000, description="Attempt; the latest by default")]


@get("/tasks", guards=[ANYONE])
async def list_tasks(
    tx: AsyncSession,
    caller: Caller,
    paging: Paging,
    task_state: Annotated[TaskState | None, QueryParameter(name="state")] = None,
    machine_id: uuid.UUID | None = None,
    customer_id: uuid.UUID | None = None,
) -> Page[TaskView]:
    """Tasks: all for admins, the own company's for customers. Newest first."""
    query = repository.tasks(caller)
    for column, value in {
        Task.state: task_state,
        Task.machine_id: machine_id,
        Task.customer_id: customer_id,
    }.items():
        if value is not None:
            query = query.where(column == value)
    if paging.search:
        query = query.where(
            or_(Task.name.ilike(like(paging.search)), Machine.name.ilike(like(paging.search)))
        )
    rows, total = await fetch_page(tx, query.order_by(*order_by(paging, SORTABLE, "-id")), paging)
    return Page(
        items=[service.view(row) for row in rows], total=total, page=paging.page, page_size=paging.page_size
    )


@post("/tasks", guards=[ANYONE])
async def submit_task(
    tx: AsyncSession, services: Services, caller: Caller, data: TaskCreate, key: idempotency.Key = None
) -> TaskDetail:
    """Submit a task to a leased machine."""
    known = await idempotency.earlier_result(tx, caller, key, data)
    if known is not None:
        return await service.detail(tx, caller, known)
    lease = timedelta(seconds=services.settings.agents.lease_seconds)
    made = await service.submit(tx, caller, data, lease)
    idempotency.remember(tx, caller, key, data, made.id)
    return made


@get("/tasks/{task_id:uuid}", guards=[ANYONE])
async def get_task(tx: AsyncSession, caller: Caller, task_id: uuid.UUID) -> TaskDetail:
    """One task with its attempts and artifacts."""
    return await service.detail(tx, caller, task_id)


@post("/tasks/{task_id:uuid}/stop", guards=[ANYONE], status_code=200)
async def stop_task(tx: AsyncSession, caller: Caller, task_id: uuid.UUID) -> TaskDetail:
    """Cancel a queued task, or stop a running one: SIGTERM, then SIGKILL after a grace period."""
    await repository.find(tx, caller, task_id)
    await service.stop(tx, task_id, f"stopped by {caller.display_name}")
    await tx.flush()
    tx.expire_all()
    return await service.detail(tx, caller, task_id)


@get("/tasks/{task_id:uuid}/log", guards=[ANYONE], media_type="text/plain")
async def task_log(
    tx: AsyncSession,
    services: Services,
    caller: Caller,
    task_id: uuid.UUID,
    offset: Offset = 0,
    attempt: Number = None,
) -> Stream:
    """The log from ``offset`` to where it ends now, as the process wrote it."""
    await repository.find(tx, caller, task_id)
    row = await repository.attempt_for_log(tx, task_id, attempt)
    content = _nothing() if row is None else await _begun(following.whole(services, row.id, offset))
    return Stream(
        content, media_type="text/plain; charset=utf-8", headers={"X-Content-Type-Options": "nosniff"}
    )


async def _begun(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same content, its first part read already: what goes wrong there can still be answered as an error."""
    first = await anext(content, b"")

    async def again() -> AsyncIterator[bytes]:
        yield first
        async for part in content:
            yield part

    return again()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


@get("/tasks/{task_id:uuid}/log/stream", guards=[ANYONE])
async def stream_task_log(
    services: Services, caller: Caller, task_id: uuid.UUID, offset: Offset = 0, attempt: Number = None
) -> ServerSentEvent:
    """The log from ``offset`` on, live: events ``chunk``, at last ``end``. A retry goes on with the new attempt."""
    async with services.sessions() as tx:
        await repository.find(tx, caller, task_id)
    messages = following.events(services, task_id, offset, attempt)
    return ServerSentEvent(following.while_let_in(services, caller, messages))


@get("/tasks/{task_id:uuid}/artifacts", guards=[ANYONE])
async def list_artifacts(tx: AsyncSession, caller: Caller, task_id: uuid.UUID) -> Artifacts:
    """What the latest attempt left in its output directory."""
    await repository.find(tx, caller, task_id)
    return Artifacts(items=[service.artifact_view(row) for row in await repository.artifacts_of(tx, task_id)])


@get("/artifacts/{artifact_id:uuid}/download", guards=[ANYONE])
async def download_artifact(
    tx: AsyncSession, services: Services, caller: Caller, artifact_id: uuid.UUID
) -> Response[ArtifactDownload]:
    """A presigned URL for ten minutes, which saves the file under its own name."""
    artifact = await tx.get(Artifact, artifact_id)
    if artifact is None:
        raise NotFoundError(f"there is no artifact {artifact_id}")
    try:
        await repository.find(tx, caller, artifact.task_id)
    except NotFoundError as error:
        raise NotFoundError(f"there is no artifact {artifact_id}") from error
    audit.record(tx, "artifact.download", "artifact", artifact_id, detail={"path": artifact.path})
    body = ArtifactDownload(
        url=services.objects.download_url(artifact.object_key, artifact.path.rpartition("/")[2]),
        path=artifact.path,
        size_bytes=artifact.size_bytes,
        sha256=artifact.sha256,
    )
    return Response(body, headers={"Cache-Control": "no-store"})


router = Router(
    path="/",
    route_handlers=[
        list_tasks,
        submit_task,
        get_task,
        stop_task,
        task_log,
        stream_task_log,
        list_artifacts,
        download_artifact,
    ],
    tags=["tasks"],
)
