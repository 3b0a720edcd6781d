"""The running PostgreSQL: connections over its socket, a database's properties, and making and dropping databases."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from remotegpu.site.backups.errors import BackupError
from remotegpu.site.backups.manifests import Grant, Properties, RoleSetting

MAINTENANCE = "postgres"
"""The database to be in while another one is made, renamed or dropped."""
CONNECT_S = 10
PROGRAM = "remotegpu-backups"

PROPERTIES = """
SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype, datlocale,
       datconnlimit, datacl IS NOT NULL FROM pg_database WHERE datname = %s
"""
GRANTS = """
SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable
FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = %s ORDER BY 1, 2
"""
SETTINGS = """
SELECT CASE WHEN s.setrole = 0 THEN '' ELSE pg_get_userbyid(s.setrole) END, split_part(c, '=', 1),
       substr(c, strpos(c, '=') + 1)
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) c
WHERE d.datname = %s ORDER BY 1, 2
"""
PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
LOCALES = {"icu": sql.SQL("ICU_LOCALE {}"), "builtin": sql.SQL("BUILTIN_LOCALE {}")}
PRIVILEGES = {"CREATE": sql.SQL("CREATE"), "CONNECT": sql.SQL("CONNECT"), "TEMPORARY": sql.SQL("TEMPORARY")}
"""What there is to grant on a database."""


@contextmanager
def connection(socket_dir: Path | str, database: str) -> Generator[psycopg.Connection]:
    """A connection that commits each statement. Raises :class:`BackupError` when there is none to be had."""
    try:
        opened = psycopg.connect(
            host=str(socket_dir),
            dbname=database,
            connect_timeout=CONNECT_S,
            application_name=PROGRAM,
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        said = str(error).strip().splitlines()[-1]
        raise BackupError(
            f"PostgreSQL in {socket_dir} gives no connection to database {database}: {said}. "
            "Expected it to run, and this program to be its superuser's operating system account."
        ) from error
    with opened:
        try:
            yield opened
        except psycopg.Error as error:
            raise BackupError(
                f"PostgreSQL in {socket_dir}, database {database}: {str(error).strip()}"
            ) from error


def exists(connected: psycopg.Connection, database: str) -> bool:
    return connected.execute("SELECT FROM pg_database WHERE datname = %s", [database]).fetchone() is not None


def text(connected: psycopg.Connection, query: str) -> str:
    """The one value that ``query`` gives, as text; empty for NULL."""
    row = connected.execute(query.encode()).fetchone()
    return "" if row is None or row[0] is None else str(row[0])


def schema_revision(connected: psycopg.Connection) -> str:
    """The newest migration that was applied; empty where the tables of the product are not there."""
    if not text(connected, "SELECT to_regclass('public.alembic_version')"):
        return ""
    return text(connected, "SELECT string_agg(version_num, ',' ORDER BY 1) FROM public.alembic_version")


def properties(connected: psycopg.Connection, database: str) -> Properties:
    """What makes ``database`` beyond its contents. Raises :class:`BackupError` when it is not there."""
    row = connected.execute(PROPERTIES, [database]).fetchone()
    if row is None:
        raise BackupError(f"found no database {database}, expected the one that DB_NAME names")
    owner, encoding, provider, collate, ctype, locale, limit, granted = row
    grants = [
        Grant(role=role, privilege=name, grantable=more)
        for role, name, more in connected.execute(GRANTS, [database]).fetchall()
    ]
    settings = [
        RoleSetting(role=role, name=name, value=value)
        for role, name, value in connected.execute(SETTINGS, [database]).fetchall()
    ]
    return Properties(
        owner=owner,
        encoding=encoding,
        provider=PROVIDERS[provider],
        collate=collate,
        ctype=ctype,
        locale=locale,
        connection_limit=limit,
        grants=tuple(grants) if granted else None,
        settings=tuple(settings),
    )


def create(connected: psycopg.Connection, database: str, like: Properties) -> None:
    """An empty database of that encoding, locale and owner."""
    options = [
        sql.SQL("OWNER {}").format(sql.Identifier(like.owner)),
        sql.SQL("ENCODING {}").format(sql.Literal(like.encoding)),
        sql.SQL("LOCALE_PROVIDER {}").format(sql.Identifier(like.provider)),
        sql.SQL("LC_COLLATE {}").format(sql.Literal(like.collate)),
        sql.SQL("LC_CTYPE {}").format(sql.Literal(like.ctype)),
    ]
    if like.locale is not None:
        options.append(LOCALES[like.provider].format(sql.Literal(like.locale)))
    connected.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ").format(sql.Identifier(database))
        + sql.SQL(" ").join(options)
    )


def apply(connected: psycopg.Connection, database: str, wanted: Properties) -> None:
    """Give ``database``, which ``connected`` is in, its limit, grants and settings. All or nothing."""
    name = sql.Identifier(database)
    with connected.transaction():
        connected.execute(
            sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
                name, sql.Literal(wanted.connection_limit)
            )
        )
        if wanted.grants is not None:
            _grant(connected, name, wanted.owner, wanted.grants)
        for setting in wanted.settings:
            _set(connected, name, setting)


def _grant(
    connected: psycopg.Connection, name: sql.Identifier, owner: str, grants: tuple[Grant, ...]
) -> None:
    connected.execute(
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(name, sql.Identifier(owner))
    )
    for grant in grants:
        connected.execute(
            sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                PRIVILEGES[grant.privilege],
                name,
                sql.Identifier(grant.role) if grant.role else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if grant.grantable else ""),
            )
        )


def _set(connected: psycopg.Connection, name: sql.Identifier, setting: RoleSetting) -> None:
    """``FROM CURRENT`` keeps a list such as ``search_path`` a list, which a quoted value would not be."""
    connected.execute("SELECT set_config(%s, %s, true)", [setting.name, setting.value])
    who = (
        sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(setting.role), name)
        if setting.role
        else sql.SQL("ALTER DATABASE {}").format(name)
    )
    connected.execute(who + sql.SQL(" SET {} FROM CURRENT").format(sql.Identifier(*setting.name.split("."))))


def drop(connected: psycopg.Connection, database: str) -> None:
    """Whatever is in it, and whoever uses it."""
    connected.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
