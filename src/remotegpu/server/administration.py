"""What an operator does without a running server."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from remotegpu.server.app import create_app
from remotegpu.server.core import problems
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import NotFoundError
from remotegpu.server.core.hub import announce
from remotegpu.server.core.openapi_document import document
from remotegpu.server.core.services import Services, open_services
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.auth import refresh, repository
from remotegpu.server.domains.auth import service as auth
from remotegpu.server.domains.machines import tokens
from remotegpu.server.domains.machines.models import Machine
from remotegpu.server.settings import Settings, load
from remotegpu.server.signals import connect_signals

_PLACEHOLDERS = {
    "DB_HOST": "unused",
    "DB_PASSWORD": "unused",
    "DB_SSLMODE": "disable",
    "REDIS_ADDR": "unused:1",
    "REDIS_PASSWORD": "unused",
    "S3_ENDPOINT": "http://unused",
    "S3_ACCESS_KEY": "unused",
    "S3_SECRET_KEY": "unused",
    "JWT_SECRET": "unused" * 8,
}
"""Enough to build the application without connecting to anything."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Services]:
    """What the server holds, for one act of an operator. A database that is away is an error of ours, in one line."""
    services = open_services(settings)
    try:
        yield services
    except SQLAlchemyError as error:
        raise problems.translate(error) from error
    finally:
        await services.close()


async def bootstrap_admin(settings: Settings, email: str, first_password: str | None = None) -> str:
    """Create the first admin. Returns the password, random unless given. Raises ConflictError when there is one."""
    async with opened(settings) as services, transaction(services.sessions) as tx:
        return await auth.bootstrap_admin(tx, email, first_password)


async def add_admin(settings: Settings, email: str) -> str:
    """Create one more admin. Returns the random first password; raises ConflictError when the address is taken."""
    async with opened(settings) as services, transaction(services.sessions) as tx:
        return await auth.add_admin(tx, email)


async def reset_password(settings: Settings, email: str) -> str:
    """A new first password for any account, whose sessions end. Raises NotFoundError for an unknown address."""
    connect_signals()
    async with opened(settings) as services:
        async with transaction(services.sessions) as tx:
            found = await repository.find_by_email(tx, email)
            if found is None:
                raise NotFoundError(f"there is no account {email}")
            user = found[0]
            password = await auth.reset_password(tx, user)
            announce(tx, "people", user.id)
        await refresh.end_all(services.redis, user.id)
        return password


async def rotate_agent_token(settings: Settings, node: str) -> None:
    """Ask a machine's agent to take a new token. Raises NotFoundError for an unknown name."""
    connect_signals()
    async with opened(settings) as services, transaction(services.sessions) as tx:
        machine_id = await tx.scalar(select(Machine.id).where(Machine.name == node))
        if machine_id is None:
            raise NotFoundError(f"there is no machine {node}")
        await tokens.request_rotation(tx, machine_id)


async def verify_audit(settings: Settings) -> audit.ChainReport:
    """Seal what is pending and verify the chain."""
    async with opened(settings) as services:
        await audit.seal(services.sessions)
        return await audit.verify(services.sessions)


def openapi_document() -> str:
    """The OpenAPI document as stable, indented JSON."""
    import asyncssh  # noqa: PLC0415 - only here, for a throw-away key

    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    app = create_app(load({**_PLACEHOLDERS, "SSH_CA_KEY": key}))
    return json.dumps(document(app), indent=2, sort_keys=True, ensure_ascii=False)
