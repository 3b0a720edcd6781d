"""Signing in and out, passwords, personal access tokens, SSH keys."""

import uuid
from datetime import timedelta

import anyio.to_thread
import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit import explain
from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import new_secret, secret_hash, uuid7
from remotegpu.server.core.context import Caller, Role
from remotegpu.server.core.errors import (
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidError,
    NotAuthenticatedError,
    NotFoundError,
)
from remotegpu.server.core.hub import announce
from remotegpu.server.core.signals import Ended, credentials_ended
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.auth import credentials, passwords, repository
from remotegpu.server.domains.auth.models import AccessToken, User
from remotegpu.server.domains.auth.schemas import Email, TokenCreate, UserView

TOKEN_PREFIX = "rgp_"  # noqa: S105 - the public prefix of personal access tokens, not a secret
MAX_TOKENS = 50
LAST_USED_EVERY = timedelta(minutes=1)


def view(user: User, customer_name: str | None) -> UserView:
    return UserView(
        id=user.id,
        email=user.email,
        display_name=user.display_name,
        role=Role(user.role),
        customer_id=user.customer_id,
        customer_name=customer_name,
        must_change_password=user.must_change_password,
        disabled=user.disabled,
        created_at=user.created_at,
    )


def as_caller(user: User, via: str, credential: str = "") -> Caller:
    return Caller(
        user_id=user.id,
        email=user.email,
        display_name=user.display_name,
        role=Role(user.role),
        customer_id=user.customer_id,
        must_change_password=user.must_change_password,
        via=via,
        credential=credential,
    )


def check_usable(user: User, customer_status: str | None) -> None:
    """Raise :class:`ForbiddenError` when the account or its company is switched off."""
    if user.disabled:
        raise ForbiddenError("this account is disabled; ask your administrator", code="account_disabled")
    if user.customer_id is not None and customer_status != "active":
        raise ForbiddenError(
            "your company's account is suspended; ask the operator", code="customer_suspended"
        )


async def check_credentials(tx: AsyncSession, email: str, password: str) -> tuple[User, str | None]:
    """The user of a right e-mail and password. One error for both, and the same work for both."""
    found = await repository.find_by_email(tx, email.replace("\x00", ""))
    stored = found[0].password_hash if found else None
    if not await anyio.to_thread.run_sync(passwords.matches, password, stored):
        raise NotAuthenticatedError("e-mail or password is wrong", code="invalid_credentials")
    assert found is not None
    user, customer_name, customer_status = found
    check_usable(user, customer_status)
    return user, customer_name


async def user_of_session(tx: AsyncSession, user_id: uuid.UUID) -> tuple[User, str | None]:
    """The user behind a valid token. Raises when the account vanished or was switched off meanwhile."""
    found = await repository.find_user(tx, user_id)
    if found is None:
        raise NotAuthenticatedError("this account no longer exists", code="token_invalid")
    user, customer_name, customer_status = found
    check_usable(user, customer_status)
    return user, customer_name


async def user_of_token(tx: AsyncSession, token: str) -> tuple[User, AccessToken]:
    """The user behind a personal access token, and the token; notes its use once a minute."""
    found = await repository.find_by_token(tx, secret_hash(token))
    now = utc_now()
    if found is None or found[1].expires_at <= now:
        raise NotAuthenticatedError(
            "the access token is unknown, revoked or expired; create a new one", code="token_invalid"
        )
    user, row, customer_status = found
    check_usable(user, customer_status)
    if row.last_used_at is None or now - row.last_used_at > LAST_USED_EVERY:
        row.last_used_at = now
    return user, row


async def create_user(
    tx: AsyncSession,
    *,
    email: str,
    display_name: str,
    role: Role,
    customer_id: uuid.UUID | None,
    first_password: str | None = None,
) -> tuple[User, str]:
    """A new account and its first password (random unless given), which must be changed at the first sign-in."""
    if await tx.scalar(select(User.id).where(User.email == email.lower())):
        raise ConflictError(
            "this e-mail address has an account already",
            code="email_taken",
            errors=[FieldProblem("email", email, "an address without an account")],
        )
    password = first_password or passwords.initial_password()
    user = User(
        id=uuid7(),
        email=email.lower(),
        display_name=display_name,
        role=role.value,
        customer_id=customer_id,
        password_hash=await anyio.to_thread.run_sync(passwords.hash_password, password),
        must_change_password=True,
        created_at=utc_now(),
    )
    tx.add(user)
    await tx.flush()
    audit.record(
        tx,
        "user.create",
        "user",
        user.id,
        customer_id=customer_id,
        detail={"email": user.email, "role": role.value},
    )
    return user, password


async def bootstrap_admin(tx: AsyncSession, email: str, first_password: str | None = None) -> str:
    """The first admin's password, random unless given. Raises :class:`ConflictError` when an admin exists."""
    if first_password is not None:
        passwords.check_strength(first_password, known=[email])
    _check_address(email)
    await tx.execute(select(func.pg_advisory_xact_lock(0x52475041)))
    if await tx.scalar(select(User.id).where(User.role == Role.ADMIN.value).limit(1)):
        raise ConflictError(
            "an admin exists already; sign in, or see remotegpu server reset-password --help",
            code="admin_exists",
        )
    _, password = await create_user(
        tx,
        email=email,
        display_name="Administrator",
        role=Role.ADMIN,
        customer_id=None,
        first_password=first_password,
    )
    return password


def _check_address(email: str) -> None:
    try:
        msgspec.convert(email, type=Email)
    except msgspec.ValidationError as error:
        raise InvalidError(
            f"{explain.shown(email)!r} cannot be used: expected {explain.expected_by(Email)}"
        ) from error


async def add_admin(tx: AsyncSession, email: str) -> str:
    """One more admin's random first password. Raises :class:`ConflictError` when the address has an account."""
    _check_address(email)
    _, password = await create_user(
        tx, email=email, display_name="Administrator", role=Role.ADMIN, customer_id=None
    )
    return password


async def change_password(
    tx: AsyncSession, caller: Caller, current: str, new: str
) -> tuple[User, str | None]:
    """Check, judge, store. The current password is asked for again even though a token was shown."""
    user, customer_name = await check_credentials(tx, caller.email, current)
    if current == new:
        raise InvalidError(
            "the new password is the old one",
            code="weak_password",
            errors=[FieldProblem("new_password", "the current password", "another one")],
        )
    passwords.check_strength(new, known=[user.email, user.display_name, "remotegpu"])
    user.password_hash = await anyio.to_thread.run_sync(passwords.hash_password, new)
    user.must_change_password = False
    audit.record(tx, "user.password_change", "user", user.id)
    return user, customer_name


async def reset_password(tx: AsyncSession, user: User) -> str:
    """A new first password, to be changed at the next sign-in."""
    password = passwords.initial_password()
    user.password_hash = await anyio.to_thread.run_sync(passwords.hash_password, password)
    user.must_change_password = True
    audit.record(tx, "user.password_reset", "user", user.id, customer_id=user.customer_id)
    await credentials_ended.send(tx, Ended(user.id, "", "the password was reset"))
    return password


async def create_token(tx: AsyncSession, caller: Caller, body: TokenCreate) -> tuple[AccessToken, str]:
    """A new token and its secret. Only for who signed in: a leaked token must not outlive itself by making another."""
    if caller.via != "session":
        raise ForbiddenError(
            "a personal access token cannot create another one; sign in with your password",
            code="session_required",
        )
    count = await tx.scalar(select(func.count()).where(AccessToken.user_id == caller.user_id))
    if (count or 0) >= MAX_TOKENS:
        raise ConflictError(
            f"you have {count} tokens, the most allowed is {MAX_TOKENS}; delete one first",
            code="too_many_tokens",
        )
    secret, now = new_secret(TOKEN_PREFIX), utc_now()
    row = AccessToken(
        id=uuid7(),
        user_id=caller.user_id,
        name=body.name,
        prefix=secret[: len(TOKEN_PREFIX) + 6],
        token_hash=secret_hash(secret),
        expires_at=now + timedelta(days=body.expires_in_days),
        created_at=now,
    )
    tx.add(row)
    audit.record(
        tx,
        "token.create",
        "token",
        row.id,
        detail={"name": body.name, "expires_in_days": body.expires_in_days},
    )
    return row, secret


async def delete_token(tx: AsyncSession, caller: Caller, token_id: uuid.UUID) -> None:
    row = await tx.scalar(select(AccessToken).filter_by(id=token_id, user_id=caller.user_id))
    if row is None:
        raise NotFoundError(f"you have no token {token_id}")
    await tx.delete(row)
    ended = Ended(caller.user_id, credentials.of_token(token_id), "the access token was revoked")
    await credentials_ended.send(tx, ended)
    announce(tx, "people", caller.user_id)
    audit.record(tx, "token.delete", "token", token_id, detail={"name": row.name})


async def members(tx: AsyncSession, customer_id: uuid.UUID) -> list[uuid.UUID]:
    """Ids of all members of a company, to end their sessions."""
    return list(await tx.scalars(select(User.id).where(User.customer_id == customer_id)))
