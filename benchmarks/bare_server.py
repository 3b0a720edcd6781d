"""The raw limit beside which sync is measured: Litestar and the driver, one UPDATE per call, nothing else."""

import os
import uuid

import uvicorn
from litestar import Litestar, post
from litestar.datastructures import State
from psycopg_pool import AsyncConnectionPool

from remotegpu.protocol.sync import SyncRequest, SyncResponse


@post("/sync/{machine_id:uuid}", status_code=200)
async def sync(state: State, machine_id: uuid.UUID, data: SyncRequest) -> SyncResponse:
    async with state.pool.connection() as connection:
        await connection.execute(
            "UPDATE machines SET last_seen_at = now(), applied_revision = %s WHERE id = %s",
            (data.applied_revision, machine_id),
        )
    return SyncResponse()


async def open_pool(app: Litestar) -> None:
    conninfo = "host={DB_HOST} port={DB_PORT} dbname={DB_NAME} user={DB_USER} password={DB_PASSWORD}".format(
        **os.environ
    )
    app.state.pool = AsyncConnectionPool(conninfo, min_size=10, max_size=10, open=False)
    await app.state.pool.open()


if __name__ == "__main__":
    uvicorn.run(
        Litestar([sync], on_startup=[open_pool], openapi_config=None, logging_config=None),
        port=int(os.environ["SERVER_PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=4096,
    )
