"""``/auth``: sign-in, sign-out, password, tokens, SSH keys."""

import uuid
from typing import Annotated

from litestar import Request, Response, Router, delete, get, post
from litestar.datastructures import Cookie
from litestar.params import HeaderParameter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.server.core import context
from remotegpu.server.core.context import Caller
from remotegpu.server.core.database import transaction
from remotegpu.server.core.errors import ForbiddenError, NotAuthenticatedError, RemoteGPUError
from remotegpu.server.core.guards import ANYONE, ANYONE_EVEN_WITH_OLD_PASSWORD, PUBLIC
from remotegpu.server.core.hub import announce
from remotegpu.server.core.paging import Page
from remotegpu.server.core.services import Services
from remotegpu.server.core.signals import Ended, credentials_ended
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.auth import credentials, lockout, refresh, repository, service, ssh_keys
from remotegpu.server.domains.auth.models import AccessToken, SshKey, User
from remotegpu.server.domains.auth.schemas import (
    Login,
    PasswordChange,
    RefreshRequest,
    SignedIn,
    SshKeyCreate,
    SshKeyView,
    TokenCreate,
    TokenCreated,
    TokenView,
    UserView,
)

COOKIE = "rg_refresh"
COOKIE_PATH = "/api/v1/auth"
Delivery = Annotated[
    str | None,
    HeaderParameter(name="X-Token-Delivery", description="body: refresh token in the body, no cookie"),
]
AnyRequest = Request[Caller | None, None, object]  # pyright: ignore[reportInvalidTypeArguments]


@post("/auth/login", guards=[PUBLIC], status_code=200)
async def login(
    tx: AsyncSession, services: Services, data: Login, delivery: Delivery = None
) -> Response[SignedIn]:
    """Sign in. Failures are counted and recorded; after five the account locks for a while."""
    request = context.current()
    email, address = data.email.lower(), request.address
    request.claimed = email
    await lockout.check(services.redis, email, address)
    try:
        user, customer_name = await service.check_credentials(tx, email, data.password)
    except RemoteGPUError:
        await lockout.failed(services.redis, email, address)
        raise
    # Again: of many guesses made at once, those checked after the lock do not count, not even the right one.
    await lockout.check(services.redis, email, address)
    await lockout.succeeded(services.redis, email, address)
    request.caller = service.as_caller(user, "session")
    audit.record(tx, "auth.login", "user", user.id)
    session = await refresh.start(services.redis, user.id, services.settings.refresh_token_seconds)
    return _signed_in(services, user, customer_name, session, delivery)


@post("/auth/refresh", guards=[PUBLIC], status_code=200)
async def refresh_session(
    request: AnyRequest,
    tx: AsyncSession,
    services: Services,
    data: RefreshRequest | None = None,
    delivery: Delivery = None,
) -> Response[SignedIn]:
    """Exchange the refresh token for a new pair. A session goes on: only its beginning, end and misuse are recorded."""
    token, lifetime = _refresh_token(request, data), services.settings.refresh_token_seconds
    try:
        session = await refresh.rotate(services.redis, token, lifetime)
    except NotAuthenticatedError as error:
        if error.code == "refresh_reused":
            await _session_was_stolen(services, token)
        raise
    user, customer_name = await service.user_of_session(tx, session.user_id)
    context.current().caller = service.as_caller(user, "session")
    return _signed_in(services, user, customer_name, session, delivery)


async def _session_was_stolen(services: Services, token: str) -> None:
    """Two parties held the token: close what either has open. In a transaction of its own, since ours is undone."""
    family = token.partition(".")[0]
    async with transaction(services.sessions) as tx:
        await credentials_ended.send(tx, Ended(None, credentials.of_session(family), "the session was ended"))
        announce(tx, "people", "")


@post("/auth/logout", guards=[PUBLIC], status_code=204)
async def logout(
    request: AnyRequest, tx: AsyncSession, services: Services, data: RefreshRequest | None = None
) -> Response[None]:
    """End this session: its refresh and access tokens stop working at once. Ending it twice is no error."""
    token = (data.refresh_token if data else None) or request.cookies.get(COOKIE)
    family = token.partition(".")[0] if token else ""
    user_id = await refresh.end(services.redis, family) if family else None
    found = await repository.find_user(tx, user_id) if user_id else None
    if found is not None:
        context.current().caller = service.as_caller(found[0], "session")
        audit.record(tx, "auth.logout", "user", found[0].id)
        ended = Ended(found[0].id, credentials.of_session(family), "you signed out")
        await credentials_ended.send(tx, ended)
        announce(tx, "people", found[0].id)
    return Response(None, status_code=204, cookies=[_cookie(services, "", 0)])


@post("/auth/password", guards=[ANYONE_EVEN_WITH_OLD_PASSWORD], status_code=200)
async def change_password(
    tx: AsyncSession, services: Services, caller: Caller, data: PasswordChange, delivery: Delivery = None
) -> Response[SignedIn]:
    """Change the own password; every other session of the account ends."""
    address = context.current().address
    await lockout.check(services.redis, caller.email, address)
    try:
        user, customer_name = await service.change_password(
            tx, caller, data.current_password, data.new_password
        )
    except NotAuthenticatedError as error:
        await lockout.failed(services.redis, caller.email, address)
        # Not 401: the caller is signed in, and clients answer 401 by renewing their token and sending again.
        raise ForbiddenError("the current password is wrong", code="invalid_credentials") from error
    await refresh.end_all(services.redis, user.id)
    await credentials_ended.send(tx, Ended(user.id, credentials.SESSION, "the password was changed"))
    announce(tx, "people", user.id)
    session = await refresh.start(services.redis, user.id, services.settings.refresh_token_seconds)
    return _signed_in(services, user, customer_name, session, delivery)


@get("/auth/me", guards=[ANYONE_EVEN_WITH_OLD_PASSWORD])
async def me(tx: AsyncSession, caller: Caller) -> UserView:
    """The signed-in person."""
    user, customer_name = await service.user_of_session(tx, caller.user_id)
    return service.view(user, customer_name)


@get("/auth/tokens", guards=[ANYONE])
async def list_tokens(tx: AsyncSession, caller: Caller) -> Page[TokenView]:
    """Own personal access tokens, newest first."""
    rows = await tx.scalars(
        select(AccessToken).filter_by(user_id=caller.user_id).order_by(AccessToken.id.desc())
    )
    items = [_token_view(row) for row in rows]
    return Page(items=items, total=len(items), page=1, page_size=service.MAX_TOKENS)


@post("/auth/tokens", guards=[ANYONE])
async def create_token(tx: AsyncSession, caller: Caller, data: TokenCreate) -> TokenCreated:
    """A new token; it is shown this once."""
    row, secret = await service.create_token(tx, caller, data)
    return TokenCreated(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        expires_at=row.expires_at,
        created_at=row.created_at,
        last_used_at=None,
        token=secret,
    )


@delete("/auth/tokens/{token_id:uuid}", guards=[ANYONE])
async def delete_token(tx: AsyncSession, caller: Caller, token_id: uuid.UUID) -> None:
    """Revoke a token at once."""
    await service.delete_token(tx, caller, token_id)


@get("/auth/ssh-keys", guards=[ANYONE])
async def list_ssh_keys(tx: AsyncSession, caller: Caller) -> Page[SshKeyView]:
    """Own SSH keys, newest first."""
    rows = await tx.scalars(select(SshKey).filter_by(user_id=caller.user_id).order_by(SshKey.id.desc()))
    items = [_ssh_key_view(row) for row in rows]
    return Page(items=items, total=len(items), page=1, page_size=ssh_keys.MAX_SSH_KEYS)


@post("/auth/ssh-keys", guards=[ANYONE])
async def add_ssh_key(tx: AsyncSession, caller: Caller, data: SshKeyCreate) -> SshKeyView:
    """Add a public key; machines leased by the own company accept it within seconds."""
    row = await ssh_keys.add_ssh_key(tx, caller, data)
    return _ssh_key_view(row)


@delete("/auth/ssh-keys/{key_id:uuid}", guards=[ANYONE])
async def delete_ssh_key(tx: AsyncSession, caller: Caller, key_id: uuid.UUID) -> None:
    """Remove a public key; machines stop accepting it within seconds."""
    await ssh_keys.delete_ssh_key(tx, caller, key_id)


def _refresh_token(request: AnyRequest, body: RefreshRequest | None) -> str:
    token = body.refresh_token if body else None
    if token is None:
        token = request.cookies.get(COOKIE)
    if token is None:
        raise NotAuthenticatedError("no refresh token was sent; sign in", code="not_signed_in")
    return token


def _signed_in(
    services: Services, user: User, customer_name: str | None, session: refresh.Rotated, delivery: str | None
) -> Response[SignedIn]:
    in_body = delivery == "body"
    body = SignedIn(
        access_token=services.tokens.issue(user.id, family=session.family, now=utc_now()),
        expires_in=services.tokens.lifetime,
        must_change_password=user.must_change_password,
        user=service.view(user, customer_name),
        refresh_token=session.token if in_body else None,
    )
    cookies = [] if in_body else [_cookie(services, session.token, services.settings.refresh_token_seconds)]
    return Response(body, status_code=200, cookies=cookies, headers={"Cache-Control": "no-store"})


def _cookie(services: Services, value: str, seconds: int) -> Cookie:
    secure = services.settings.public_url.startswith("https://")
    return Cookie(
        COOKIE,
        value=value,
        path=COOKIE_PATH,
        max_age=seconds,
        httponly=True,
        secure=secure,
        samesite="strict",
    )


def _token_view(row: AccessToken) -> TokenView:
    return TokenView(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        expires_at=row.expires_at,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


def _ssh_key_view(row: SshKey) -> SshKeyView:
    return SshKeyView(
        id=row.id,
        name=row.name,
        public_key=row.public_key,
        fingerprint=row.fingerprint,
        created_at=row.created_at,
    )


router = Router(
    path="/",
    route_handlers=[
        login,
        refresh_session,
        logout,
        change_password,
        me,
        list_tokens,
        create_token,
        delete_token,
        list_ssh_keys,
        add_ssh_key,
        delete_ssh_key,
    ],
    tags=["auth"],
)
