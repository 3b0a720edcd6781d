"""Alembic's entry: one connection of the owner role, one advisory lock, every pending revision."""

import os

from alembic import context
from sqlalchemy import create_engine, pool, text

from remotegpu.kit.environment import Environment
from remotegpu.server.core.database import url
from remotegpu.server.models import Base
from remotegpu.server.settings import load_database

MIGRATION_LOCK = 0x5247504D
"""Two migrations at once: the second waits, finds nothing to do, and is content."""


def run() -> None:
    environment = Environment(os.environ)
    settings = load_database(environment)
    environment.finish()
    engine = create_engine(url(settings, owner=True), poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            transaction_per_migration=True,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
