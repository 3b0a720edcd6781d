"""Alembic without ``alembic.ini``: its configuration, one revision's step, and a revision's SQL without a database."""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep, RevisionStep
from alembic.script import ScriptDirectory

from remotegpu.server.migrations.chain import VERSIONS

FOLDER = Path(__file__).parent
_CONCURRENT_INDEX = re.compile(
    r"CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?\"?(\w+)", re.IGNORECASE
)

Steps = Callable[[Any, MigrationContext], Iterable[RevisionStep]]
"""Any: Alembic's own type of a set of heads."""


def config(folders: Sequence[Path] = (VERSIONS,)) -> Config:
    """Alembic configured for the migrations in ``folders``."""
    settings = Config()
    settings.set_main_option("script_location", str(FOLDER))
    settings.set_main_option("version_locations", "\n".join(str(folder) for folder in folders))
    settings.set_main_option("path_separator", "newline")
    settings.set_main_option("file_template", "%%(rev)s")
    return settings


def steps_of(scripts: ScriptDirectory, name: str) -> Steps:
    """Alembic asks what to run; the answer is this one revision."""
    script = scripts.get_revision(name)

    def steps(_heads: object, _context: MigrationContext) -> Iterable[RevisionStep]:
        return [MigrationStep.upgrade_from_script(scripts.revision_map, script)]

    return steps


def sql_of(scripts: ScriptDirectory, name: str) -> str:
    """What a revision runs, with its transaction and the change of ``alembic_version``."""
    output = io.StringIO()
    previous = scripts.get_revision(name).down_revision
    with EnvironmentContext(
        Config(),
        scripts,
        fn=steps_of(scripts, name),
        as_sql=True,
        starting_rev=previous,
        destination_rev=name,
    ) as environment:
        environment.configure(
            dialect_name="postgresql",
            dialect_opts={"paramstyle": "named"},
            output_buffer=output,
            literal_binds=True,
            transaction_per_migration=True,
        )
        with environment.begin_transaction():
            environment.run_migrations()
    return output.getvalue().strip() + "\n"


def concurrent_indexes(sql: str) -> tuple[str, ...]:
    """Indexes that ``sql`` builds concurrently; an attempt that failed leaves them behind, invalid."""
    return tuple(_CONCURRENT_INDEX.findall(sql))
