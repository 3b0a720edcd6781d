"""The roles of the site's database as SQL. Pure. Passwords go to the server as SCRAM verifiers, never as themselves."""

import base64
import hashlib
import hmac
from collections.abc import Callable

from remotegpu.site.bundle.topology import APP_GROUP, APP_ROLES, DATABASE, OWNER_ROLE

ITERATIONS = 4096
"""PostgreSQL's own number (``scram_iterations``)."""


def sql(password_of: Callable[[str], str]) -> str:
    """For ``psql``: make the roles what they should be, whatever they are. ``password_of``: by role."""
    logins = (OWNER_ROLE, *APP_ROLES)
    lines = [_create(role) for role in (APP_GROUP, *logins)]
    lines += [
        f"ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE "
        f"PASSWORD '{verifier(role, password_of(role))}';"
        for role in logins
    ]
    lines += [
        f"ALTER ROLE postgres PASSWORD '{verifier('postgres', password_of('postgres'))}';",
        f"ALTER ROLE {APP_GROUP} NOLOGIN;",
        f"GRANT {APP_GROUP} TO {', '.join(APP_ROLES)};",
        f"ALTER DATABASE {DATABASE} OWNER TO {OWNER_ROLE};",
        f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO {APP_GROUP};",
        f"ALTER SCHEMA public OWNER TO {OWNER_ROLE};",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
        f"GRANT USAGE ON SCHEMA public TO {APP_GROUP};",
    ]
    return "\n".join([_DATABASE, f"\\connect {DATABASE}", "BEGIN;", *lines, "COMMIT;"]) + "\n"


_DATABASE = (
    f"SELECT 'CREATE DATABASE {DATABASE}' "  # noqa: S608 - a constant
    f"WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec"
)
"""The image makes it at its very first start; one that was killed in the middle of that has none."""


def _create(role: str) -> str:
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN "
        f"CREATE ROLE {role}; END IF; END $$;"
    )


def verifier(role: str, password: str) -> str:
    """``SCRAM-SHA-256$...`` (RFC 5803 as PostgreSQL stores it). The same for the same password.

    The salt may come from the password because that is random and 256 bits long.
    """
    salt = hashlib.sha256(f"{role}\0{password}".encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
