"""Questions that a healthy database answers with nothing: what an application would stumble over first."""

import psycopg
from psycopg import sql

from remotegpu.site.backups import audit, contents, programs
from remotegpu.site.backups.scratch import Scratch
from remotegpu.site.runner import Command, attempt

CHECKS = (
    (
        "index {} is not valid",
        "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid",
    ),
    (
        "constraint {} was never checked",
        "SELECT conrelid::regclass || '.' || conname FROM pg_constraint WHERE NOT convalidated",
    ),
)
OWNED_SEQUENCES = """
SELECT s.relnamespace::regnamespace::text, s.relname, t.relnamespace::regnamespace::text, t.relname, a.attname
FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
JOIN pg_class t ON t.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE s.relkind = 'S'
"""
BEHIND = sql.SQL(
    "SELECT coalesce((SELECT max({column}) FROM {table}), 0) > (SELECT last_value FROM {sequence})"
)


def problems(connected: psycopg.Connection) -> list[str]:
    """One sentence each."""
    found = [
        sentence.format(name)
        for sentence, query in CHECKS
        for (name,) in connected.execute(query.encode()).fetchall()
    ]
    for schema, name in contents.tables(connected):
        connected.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(schema, name)))
    found += _sequences_behind(connected)
    chain = audit.check(connected)
    if chain is not None and chain.problem:
        found.append(f"the audit trail's chain does not hold: {chain.problem}")
    return found


def _sequences_behind(connected: psycopg.Connection) -> list[str]:
    found: list[str] = []
    for schema, sequence, table_schema, table, column in connected.execute(OWNED_SEQUENCES).fetchall():
        query = BEHIND.format(
            column=sql.Identifier(column),
            table=sql.Identifier(table_schema, table),
            sequence=sql.Identifier(schema, sequence),
        )
        row = connected.execute(query).fetchone()
        if row is not None and row[0]:
            found.append(
                f"sequence {schema}.{sequence} is behind {table}.{column}: the next insert would fail"
            )
    return found


def structure(place: Scratch, database: str, version: str) -> list[str]:
    """Every page of every table and index, looked at by PostgreSQL's own checker: for a cluster restored by files."""
    pg_amcheck = programs.postgresql("pg_amcheck", version)
    argv = (pg_amcheck, f"--host={place.socket}", f"--database={database}", "--install-missing", "--jobs=2")
    done = attempt(Command(argv=argv, timeout_s=programs.DAY_S))
    return [] if done.code == 0 else [f"pg_amcheck: {done.output.strip()[-1000:]}"]
