"""asyncpg beside psycopg 3, both under SQLAlchemy as the server uses it, and the bare drivers: once, to choose one."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg
import psycopg
import uvloop
from sqlalchemy import select, update
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from harness import Site, add_machines, report, site
from remotegpu.server.domains.machines.models import Machine

CLIENTS = 8


async def rate(seconds: float, one: Callable[[int], Awaitable[None]]) -> int:
    end, done = time.perf_counter() + seconds, 0

    async def loop(number: int) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await one(number)
            done += 1

    await asyncio.gather(*(loop(number) for number in range(CLIENTS)))
    return round(done / seconds)


async def under_sqlalchemy(
    running: Site, driver: str, seconds: float, machine_ids: list[object]
) -> dict[str, int]:
    url = URL.create(
        f"postgresql+{driver}",
        username=running.env["DB_USER"],
        password=running.env["DB_PASSWORD"],
        host=running.env["DB_HOST"],
        port=int(running.env["DB_PORT"]),
        database=running.env["DB_NAME"],
    )
    engine = create_async_engine(url, pool_size=CLIENTS)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def read(number: int) -> None:
        async with sessions() as tx:
            await tx.scalar(select(Machine).where(Machine.id == machine_ids[number]))

    async def write(number: int) -> None:
        async with sessions() as tx:
            await tx.execute(
                update(Machine)
                .where(Machine.id == machine_ids[number])
                .values(applied_revision=Machine.applied_revision + 1)
                .execution_options(synchronize_session=False)
            )
            await tx.commit()

    async def page(_number: int) -> None:
        async with sessions() as tx:
            (await tx.scalars(select(Machine).order_by(Machine.name).limit(100))).all()

    await rate(0.5, read)
    figures = {
        "read_per_s": await rate(seconds, read),
        "write_per_s": await rate(seconds, write),
        "page_of_100_per_s": await rate(seconds, page),
    }
    await engine.dispose()
    return figures


async def bare(running: Site, seconds: float, machine_ids: list[object]) -> dict[str, int]:
    """The raw limit: each driver alone, one read by key."""
    env = running.env
    where = {"host": env["DB_HOST"], "user": env["DB_USER"], "password": env["DB_PASSWORD"]}
    ours = [
        await psycopg.AsyncConnection.connect(
            **where, port=int(env["DB_PORT"]), dbname=env["DB_NAME"], autocommit=True
        )
        for _ in range(CLIENTS)
    ]
    theirs = [
        await asyncpg.connect(**where, port=int(env["DB_PORT"]), database=env["DB_NAME"])
        for _ in range(CLIENTS)
    ]

    async def psycopg_read(number: int) -> None:
        await ours[number].execute("SELECT * FROM machines WHERE id = %s", (machine_ids[number],))

    async def asyncpg_read(number: int) -> None:
        await theirs[number].fetchrow("SELECT * FROM machines WHERE id = $1", machine_ids[number])

    figures = {
        "psycopg_read_per_s": await rate(seconds, psycopg_read),
        "asyncpg_read_per_s": await rate(seconds, asyncpg_read),
    }
    await asyncio.gather(*(one.close() for one in [*ours, *theirs]))
    return figures


async def run(running: Site, seconds: float) -> None:
    machine_ids: list[object] = [agent.machine_id for agent in add_machines(running, 500)]
    rounds = [
        {
            "psycopg": await under_sqlalchemy(running, "psycopg", seconds, machine_ids),
            "asyncpg": await under_sqlalchemy(running, "asyncpg", seconds, machine_ids),
        }
        for _ in range(2)
    ]
    report(
        "database_driver",
        "choose one driver, once",
        rounds=rounds,
        bare=await bare(running, seconds, machine_ids),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    with site() as running_site:
        uvloop.run(run(running_site, options.seconds))
