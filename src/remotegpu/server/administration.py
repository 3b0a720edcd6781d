"""What an operator does without a running server."""

import json

from litestar.openapi.spec import OpenAPI

from remotegpu.server.app import create_app
from remotegpu.server.core.database import transaction
from remotegpu.server.core.services import open_services
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


async def bootstrap_admin(settings: Settings, email: str) -> str:
    """Create the first admin. Returns the random password; raises ConflictError when there is an admin."""
    services = open_services(settings)
    try:
        async with transaction(services.sessions) as tx:
            return await auth.bootstrap_admin(tx, email)
    finally:
        await services.close()


async def verify_audit(settings: Settings) -> audit.ChainReport:
    """Seal what is pending and verify the chain."""
    services = open_services(settings)
    try:
        await audit.seal(services.sessions)
        return await audit.verify(services.sessions)
    finally:
        await services.close()


def openapi_document() -> str:
    """The OpenAPI document as stable, indented JSON."""
    import asyncssh  # noqa: PLC0415 - only here, for a throw-away key

    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    schema: OpenAPI = create_app(load({**_PLACEHOLDERS, "SSH_CA_KEY": key})).openapi_schema
    return json.dumps(schema.to_schema(), indent=2, sort_keys=True, ensure_ascii=False)
