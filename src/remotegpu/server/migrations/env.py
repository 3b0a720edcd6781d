"""Alembic's entry for comparing tables and models (``alembic.command.revision`` and ``check``); applies nothing.

Migrations are applied by ``remotegpu server migrate`` only, which also keeps the ledger and the grants.
"""

import os

from alembic import context
from sqlalchemy import create_engine, pool

from remotegpu.kit.environment import Environment
from remotegpu.server.core.database import url
from remotegpu.server.migrations.errors import MigrationError
from remotegpu.server.models import Base
from remotegpu.server.settings import load_database


def run() -> None:
    if context.is_offline_mode() or _destination() is not None:
        raise MigrationError("Alembic's own commands apply nothing here; run `remotegpu server migrate`")
    environment = Environment(os.environ)
    settings = load_database(environment, migrating=True)
    environment.finish()
    engine = create_engine(url(settings, owner=True), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()


def _destination() -> object:
    """Where an upgrade or downgrade would go; None for a comparison."""
    try:
        return context.get_revision_argument()
    except KeyError:
        return None


run()
