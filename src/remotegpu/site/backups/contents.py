"""What the tables of a database hold: rows and a checksum of each, to compare a copy with what was copied.

The checksum is the sum over all rows of 64 bits of the MD5 of the row as text. A sum does not depend on the order of
the rows, so nothing needs sorting; unlike XOR it notices a row that is there twice; and MD5, unlike PostgreSQL's own
hash functions, is the same in every version. It looks for accidents: against people the files have SHA-256.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import psycopg
from psycopg import sql

from remotegpu.site.backups.manifests import Figures

AS_TEXT = (
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET IntervalStyle = 'iso_8601'",
    "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1",
    "SET search_path = pg_catalog",
)
"""Whatever changes how a value reads as text."""
TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%'
  AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
  )
ORDER BY 1, 2
"""
ROW = sql.Identifier("whole row")
"""An alias that no column has: PostgreSQL prefers a column when both are called the same."""
FIGURES = sql.SQL(
    "SELECT count(*), coalesce(sum(('x' || left(md5({row}::text), 16))::bit(64)::bigint), 0)::text"
    " FROM ONLY {table} AS {row}"
)

TEXTS = sql.SQL("SELECT {row}::text FROM ONLY {table} AS {row}")
FETCHED = 500
"""Rows that the server makes text of in one go: about a millisecond of its time."""


def tables(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Schema and name of every table that a dump holds."""
    return [(schema, name) for schema, name in connection.execute(TABLES).fetchall()]


def measure(connection: psycopg.Connection) -> dict[str, Figures]:
    """Look at every row of every table, as the connection's transaction sees them. The server does the sums."""
    return _each(connection, _summed_up)


def measure_gently(connection: psycopg.Connection) -> dict[str, Figures]:
    """The same, for a server with other work to do. Needs a transaction.

    Here, in the process that asks, the sums are done, and the server waits for it before it reads on. So it works in
    steps of a millisecond, and no faster than this process, which gives way to everybody.
    """
    return _each(connection, _fetched)


def _each(
    connection: psycopg.Connection, figures_of: Callable[[psycopg.Connection, sql.Identifier], Figures]
) -> dict[str, Figures]:
    for setting in AS_TEXT:
        connection.execute(setting)
    return {
        f"{schema}.{name}": figures_of(connection, sql.Identifier(schema, name))
        for schema, name in tables(connection)
    }


def _summed_up(connection: psycopg.Connection, table: sql.Identifier) -> Figures:
    row = connection.execute(FIGURES.format(row=ROW, table=table)).fetchone()
    assert row is not None  # an aggregate always answers
    return Figures(rows=row[0], checksum=row[1])


def _fetched(connection: psycopg.Connection, table: sql.Identifier) -> Figures:
    number, total = 0, 0
    with connection.cursor("rows") as cursor:
        cursor.itersize = FETCHED
        cursor.execute(TEXTS.format(row=ROW, table=table))
        for (text,) in cursor:
            digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
            total += int.from_bytes(digest[:8], signed=True)
            number += 1
    return Figures(rows=number, checksum=str(total))


def differences(wanted: Mapping[str, Figures], found: Mapping[str, Figures]) -> Sequence[str]:
    """One sentence per table that is not the same. Pure."""
    problems = [f"table {name} is missing" for name in sorted(wanted.keys() - found.keys())]
    problems += [f"table {name} should not be there" for name in sorted(found.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & found.keys()):
        if wanted[name].rows != found[name].rows:
            problems.append(f"table {name} has {found[name].rows} rows, expected {wanted[name].rows}")
        elif wanted[name].checksum != found[name].checksum:
            problems.append(f"table {name} has other rows than when it was saved, though as many")
    return problems
