"""``/customers``: companies and their members."""

import uuid

import msgspec
from litestar import Router, get, patch, post
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.server.core.context import Caller
from remotegpu.server.core.database import after_commit
from remotegpu.server.core.guards import ADMIN, OWNER
from remotegpu.server.core.hub import announce
from remotegpu.server.core.paging import Page, Paging, fetch_page, like, order_by
from remotegpu.server.core.services import Services
from remotegpu.server.domains.auth import refresh
from remotegpu.server.domains.auth import service as auth
from remotegpu.server.domains.auth.models import User
from remotegpu.server.domains.auth.schemas import UserView
from remotegpu.server.domains.customers import repository, service
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.customers.schemas import (
    CustomerChange,
    CustomerCreate,
    CustomerView,
    InitialPassword,
    MemberChange,
    MemberCreate,
    MemberCreated,
)

SORTABLE = {
    "id": Customer.id,
    "company_code": Customer.company_code,
    "name": Customer.name,
    "created_at": Customer.created_at,
}
MEMBERS_SORTABLE = {
    "id": User.id,
    "email": User.email,
    "display_name": User.display_name,
    "created_at": User.created_at,
}


@get("/customers", guards=[ADMIN])
async def list_customers(tx: AsyncSession, paging: Paging) -> Page[CustomerView]:
    """All customers."""
    query = repository.customers()
    if paging.search:
        query = query.where(
            or_(Customer.name.ilike(like(paging.search)), Customer.company_code.ilike(like(paging.search)))
        )
    rows, total = await fetch_page(tx, query.order_by(*order_by(paging, SORTABLE, "company_code")), paging)
    items = [service.view(row, members, machines) for row, members, machines in rows]
    return Page(items=items, total=total, page=paging.page, page_size=paging.page_size)


@post("/customers", guards=[ADMIN])
async def create_customer(tx: AsyncSession, data: CustomerCreate) -> CustomerView:
    """A new customer."""
    return await service.create_customer(tx, data)


@get("/customers/{customer_id:uuid}", guards=[OWNER])
async def get_customer(tx: AsyncSession, caller: Caller, customer_id: uuid.UUID) -> CustomerView:
    """One customer; an owner sees the own one."""
    return await service.get_customer(tx, caller, customer_id)


@patch("/customers/{customer_id:uuid}", guards=[ADMIN])
async def change_customer(
    tx: AsyncSession, services: Services, caller: Caller, customer_id: uuid.UUID, data: CustomerChange
) -> CustomerView:
    """Rename, suspend or resume."""
    return await service.change_customer(tx, caller, customer_id, data, _end_sessions(tx, services))


@get("/customers/{customer_id:uuid}/members", guards=[OWNER])
async def list_members(
    tx: AsyncSession, caller: Caller, customer_id: uuid.UUID, paging: Paging
) -> Page[UserView]:
    """Accounts of a company."""
    customer = await service.get_customer(tx, caller, customer_id)
    query = select(User).where(User.customer_id == customer_id)
    if paging.search:
        query = query.where(
            or_(User.email.ilike(like(paging.search)), User.display_name.ilike(like(paging.search)))
        )
    rows, total = await fetch_page(tx, query.order_by(*order_by(paging, MEMBERS_SORTABLE, "email")), paging)
    items = [auth.view(row[0], customer.name) for row in rows]
    return Page(items=items, total=total, page=paging.page, page_size=paging.page_size)


@post("/customers/{customer_id:uuid}/members", guards=[OWNER])
async def add_member(
    tx: AsyncSession, caller: Caller, customer_id: uuid.UUID, data: MemberCreate
) -> MemberCreated:
    """A new account with a random first password, shown this once."""
    user, password, customer_name = await service.add_member(tx, caller, customer_id, data)
    return MemberCreated(**msgspec.structs.asdict(auth.view(user, customer_name)), initial_password=password)


@patch("/customers/{customer_id:uuid}/members/{user_id:uuid}", guards=[OWNER])
async def change_member(
    tx: AsyncSession,
    services: Services,
    caller: Caller,
    customer_id: uuid.UUID,
    user_id: uuid.UUID,
    data: MemberChange,
) -> UserView:
    """Rename, disable or enable an account."""
    user, customer_name = await service.get_member(tx, caller, customer_id, user_id)
    await service.change_member(tx, user, data, _end_sessions(tx, services))
    return auth.view(user, customer_name)


@post("/customers/{customer_id:uuid}/members/{user_id:uuid}/reset-password", guards=[OWNER], status_code=200)
async def reset_member_password(
    tx: AsyncSession, services: Services, caller: Caller, customer_id: uuid.UUID, user_id: uuid.UUID
) -> InitialPassword:
    """A new first password; every session of the account ends."""
    user, _ = await service.get_member(tx, caller, customer_id, user_id)
    password = await auth.reset_password(tx, user)
    _end_sessions(tx, services)(user.id)
    return InitialPassword(initial_password=password)


def _end_sessions(tx: AsyncSession, services: Services) -> service.EndSessions:
    def end(user_id: uuid.UUID) -> None:
        after_commit(tx, lambda: refresh.end_all(services.redis, user_id))
        announce(tx, "people", user_id)

    return end


router = Router(
    path="/",
    route_handlers=[
        list_customers,
        create_customer,
        get_customer,
        change_customer,
        list_members,
        add_member,
        change_member,
        reset_member_password,
    ],
    tags=["customers"],
)
