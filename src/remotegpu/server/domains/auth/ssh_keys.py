"""People's SSH keys: read, judged, kept, and handed to the machines their company leases."""

import uuid

import asyncssh
from sqlalchemy import ScalarSelect, SQLColumnExpression, func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import uuid7
from remotegpu.server.core.context import Caller
from remotegpu.server.core.errors import ConflictError, FieldProblem, InvalidError, NotFoundError
from remotegpu.server.core.signals import customer_access_changed
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.auth.models import SshKey, User
from remotegpu.server.domains.auth.schemas import SshKeyCreate

MAX_SSH_KEYS = 50


def parse_public_key(text: str) -> tuple[str, str]:
    """Canonical OpenSSH line and SHA-256 fingerprint. Private keys and nonsense are refused with a hint."""
    problem: str
    if "PRIVATE KEY" in text:
        problem = "a private key: keep it secret, and paste the content of the .pub file instead"
    elif len(text.strip().splitlines()) > 1 and not text.strip().startswith("----"):
        problem = f"{len(text.strip().splitlines())} lines, of which only one key can be added at a time"
    else:
        try:
            key = asyncssh.import_public_key(text.strip())
            key.set_comment(None)  # it goes into authorized_keys files; people's own words stay out of them
            line = key.export_public_key("openssh").decode().strip()
            if not _is_weak(key):
                return line, key.get_fingerprint("sha256")
            problem = "a kind of key that is too weak today (DSA, or RSA of fewer than 2048 bits)"
        except (asyncssh.KeyImportError, ValueError) as error:
            problem = f"not a public key ({error})"
    raise InvalidError(
        "the SSH key cannot be read",
        code="invalid_ssh_key",
        errors=[FieldProblem("public_key", problem, "one line such as: ssh-ed25519 AAAA… name")],
    )


def _is_weak(key: asyncssh.SSHKey) -> bool:
    """DSA, which OpenSSH has dropped, and RSA below what NIST SP 800-131A allows."""
    algorithm = key.get_algorithm()
    if algorithm == "ssh-dss":
        return True
    public = getattr(key, "pyca_key", None)
    return algorithm == "ssh-rsa" and getattr(public, "key_size", 0) < 2048


async def add_ssh_key(tx: AsyncSession, caller: Caller, body: SshKeyCreate) -> SshKey:
    line, fingerprint = parse_public_key(body.public_key)
    owned = list(await tx.scalars(select(SshKey.fingerprint).where(SshKey.user_id == caller.user_id)))
    if fingerprint in owned:
        raise ConflictError(f"you have added this key already ({fingerprint})", code="ssh_key_exists")
    if len(owned) >= MAX_SSH_KEYS:
        raise ConflictError(
            f"you have {len(owned)} SSH keys, the most allowed is {MAX_SSH_KEYS}; delete one first",
            code="too_many_keys",
        )
    row = SshKey(
        id=uuid7(),
        user_id=caller.user_id,
        name=body.name,
        public_key=line,
        fingerprint=fingerprint,
        created_at=utc_now(),
    )
    tx.add(row)
    audit.record(tx, "ssh_key.add", "ssh_key", row.id, detail={"name": body.name, "fingerprint": fingerprint})
    await _announce(tx, caller)
    return row


async def delete_ssh_key(tx: AsyncSession, caller: Caller, key_id: uuid.UUID) -> None:
    row = await tx.scalar(select(SshKey).filter_by(id=key_id, user_id=caller.user_id))
    if row is None:
        raise NotFoundError(f"you have no SSH key {key_id}")
    await tx.delete(row)
    audit.record(tx, "ssh_key.delete", "ssh_key", key_id, detail={"fingerprint": row.fingerprint})
    await _announce(tx, caller)


async def _announce(tx: AsyncSession, caller: Caller) -> None:
    await tx.flush()
    if caller.customer_id is not None:
        await customer_access_changed.send(tx, caller.customer_id)


def keys_of(customer_id: SQLColumnExpression[uuid.UUID]) -> ScalarSelect[list[str]]:
    """Column of a query: the public keys of all enabled members of a company, for the machines it leases."""
    keys = (
        select(SshKey.public_key, SshKey.id)
        .join(User, User.id == SshKey.user_id)
        .where(User.customer_id == customer_id, User.disabled.is_(False))
        .subquery()
    )
    collected = func.jsonb_agg(aggregate_order_by(keys.c.public_key, keys.c.id))
    return select(func.coalesce(collected, text("'[]'::jsonb"))).scalar_subquery()
