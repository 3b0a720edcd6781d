"""Bringing a dump into a database, and finding out whether everything arrived."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from remotegpu.site.backups import contents, postgres, programs
from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import Database, Figures, Properties
from remotegpu.site.runner import Command, CommandError, run

JOBS = 2
NO_ROLE = re.compile(r'role "([^"]+)" does not exist')


class Expected(msgspec.Struct, kw_only=True, frozen=True):
    """What a restored database has to be."""

    schema_revision: str
    properties: Properties
    tables: Mapping[str, Figures]


def of_manifest(database: Database) -> Expected:
    return Expected(
        schema_revision=database.schema_revision, properties=database.properties, tables=database.tables
    )


def measured(socket: Path | str, database: str) -> Expected:
    """What a database is now."""
    with postgres.connection(socket, database) as connected:
        return Expected(
            schema_revision=postgres.schema_revision(connected),
            properties=postgres.properties(connected, database),
            tables=contents.measure(connected),
        )


def load_globals(socket: Path, script: Path, superuser: str, version: str) -> None:
    """Create the roles in an empty cluster. Its first role is there already, and tablespaces stay where they are."""
    statements = script.read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(line for line in statements if not _is_left_out(line, superuser))
    psql = programs.postgresql("psql", version)
    where = (f"--host={socket}", f"--username={superuser}", f"--dbname={postgres.MAINTENANCE}")
    argv = (psql, *where, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-")
    try:
        run(Command(argv=argv, stdin=text.encode()))
    except CommandError as error:
        raise BackupError(f"the roles cannot be restored: {error}") from error


def _is_left_out(line: str, superuser: str) -> bool:
    names = (superuser, f'"{superuser}"')
    return line.rstrip() in {f"CREATE ROLE {name};" for name in names} or line.startswith(
        ("CREATE TABLESPACE", "GRANT CREATE ON TABLESPACE", "ALTER TABLESPACE")
    )


def load(socket: Path | str, database: str, dump: Path, version: str) -> None:
    """Fill an empty database from a dump. Raises :class:`BackupError` at the first thing that cannot be restored."""
    pg_restore = programs.postgresql("pg_restore", version)
    options = ("--exit-on-error", "--no-password", "--no-tablespaces", f"--jobs={JOBS}")
    argv = (pg_restore, f"--host={socket}", f"--dbname={database}", *options, str(dump))
    try:
        run(Command(argv=argv, timeout_s=programs.DAY_S))
    except CommandError as error:
        raise BackupError(f"{_explained(error.done.output)}{error}") from error


def _explained(output: str) -> str:
    role = NO_ROLE.search(output)
    if role:
        return f"the role {role[1]} is not in this cluster; create it first, {'globals.sql'} of the backup shows how: "
    if "No space left" in output:
        return "the disk is full: "
    return "the dump cannot be restored: "


def problems(socket: Path | str, database: str, expected: Expected) -> list[str]:
    """How a restored database differs from what it has to be, one sentence each."""
    found = measured(socket, database)
    lines = list(contents.differences(expected.tables, found.tables))
    if found.schema_revision != expected.schema_revision:
        lines.append(
            f"the schema is at {found.schema_revision or 'nothing'}, expected {expected.schema_revision or 'nothing'}"
        )
    if found.properties != expected.properties:
        lines.append(f"the database is {found.properties}, expected {expected.properties}")
    return lines
