"""What an operator does without a running server."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError

from remotegpu.server.app import create_app
from remotegpu.server.core import problems
from remotegpu.server.core.database import transaction
from remotegpu.server.core.openapi_document import document
from remotegpu.server.core.services import Services, open_services
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.auth import service as auth
from remotegpu.server.settings import Settings, load

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
