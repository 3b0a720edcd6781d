"""The two database roles and the database. The application's role owns nothing, so it cannot alter the audit trail."""

import psycopg
from psycopg import sql

from remotegpu.local.postgres import APP_ROLE, OWNER_ROLE, SUPERUSER
from remotegpu.local.secret_files import Secrets


def connect(port: int, secrets: Secrets, database: str = "postgres") -> psycopg.Connection:
    """As the superuser, each statement its own transaction (CREATE DATABASE allows no other way)."""
    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        user=SUPERUSER,
        password=secrets.value("db_superuser_password"),
        dbname=database,
        sslmode="disable",
        connect_timeout=10,
        autocommit=True,
    )


def create(port: int, secrets: Secrets, database: str) -> None:
    """Make roles and database, or bring their passwords back in line with the secret files. Repeatable."""
    with connect(port, secrets) as connection:
        _ensure_role(connection, OWNER_ROLE, secrets.value("db_owner_password"))
        _ensure_role(connection, APP_ROLE, secrets.value("db_password"))
        _ensure_database(connection, database)
    with connect(port, secrets, database) as connection:
        connection.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))


def _ensure_role(connection: psycopg.Connection, role: str, password: str) -> None:
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = "ALTER" if found else "CREATE"
    connection.execute(
        sql.SQL(f"{verb} ROLE {{}} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {{}}").format(
            sql.Identifier(role), sql.Literal(password)
        )
    )


def _ensure_database(connection: psycopg.Connection, database: str) -> None:
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
        return
    connection.execute(
        sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(OWNER_ROLE))
    )
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
    connection.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
            sql.Identifier(database), sql.Identifier(APP_ROLE)
        )
    )
