"""Customers and their members."""

import uuid
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from remotegpu.kit.clock import utc_now
from remotegpu.kit.ids import uuid7
from remotegpu.server.core.context import Caller, Role
from remotegpu.server.core.errors import ConflictError, FieldProblem, ForbiddenError, NotFoundError
from remotegpu.server.core.hub import announce
from remotegpu.server.core.signals import customer_access_changed
from remotegpu.server.domains.audit import service as audit
from remotegpu.server.domains.auth import service as auth
from remotegpu.server.domains.auth.models import User
from remotegpu.server.domains.customers import repository
from remotegpu.server.domains.customers.models import Customer
from remotegpu.server.domains.customers.schemas import (
    CustomerChange,
    CustomerCreate,
    CustomerView,
    MemberChange,
    MemberCreate,
)

EndSessions = Callable[[uuid.UUID], None]
"""Ends every sign-in of a user once the transaction has committed."""


def view(row: Customer, members: int, machines: int) -> CustomerView:
    return CustomerView(
        id=row.id,
        company_code=row.company_code,
        name=row.name,
        status="suspended" if row.status == "suspended" else "active",
        members=members,
        machines=machines,
        created_at=row.created_at,
    )


async def get_customer(tx: AsyncSession, caller: Caller, customer_id: uuid.UUID) -> CustomerView:
    """A customer the caller may see. Raises :class:`NotFoundError`, also for somebody else's."""
    if not caller.is_admin and caller.customer_id != customer_id:
        raise NotFoundError(f"there is no customer {customer_id}")
    row = (await tx.execute(repository.customers().where(Customer.id == customer_id))).first()
    if row is None:
        raise NotFoundError(f"there is no customer {customer_id}")
    return view(row[0], row[1], row[2])


async def create_customer(tx: AsyncSession, body: CustomerCreate) -> CustomerView:
    if await tx.scalar(select(Customer.id).filter_by(company_code=body.company_code)):
        raise ConflictError(
            f"a customer with the code {body.company_code!r} exists already",
            code="company_code_taken",
            errors=[FieldProblem("company_code", body.company_code, "a code that is not taken")],
        )
    row = Customer(
        id=uuid7(), company_code=body.company_code, name=body.name, status="active", created_at=utc_now()
    )
    tx.add(row)
    announce(tx, "customers", row.id)
    audit.record(
        tx,
        "customer.create",
        "customer",
        row.id,
        customer_id=row.id,
        detail={"company_code": row.company_code},
    )
    await tx.flush()
    return view(row, 0, 0)


async def change_customer(
    tx: AsyncSession, caller: Caller, customer_id: uuid.UUID, body: CustomerChange, end_sessions: EndSessions
) -> CustomerView:
    """Rename, suspend or resume. Suspending ends all sessions of the members and takes their keys off the machines."""
    row = await tx.get(Customer, customer_id, with_for_update=True)
    if row is None:
        raise NotFoundError(f"there is no customer {customer_id}")
    if body.name is not None:
        row.name = body.name
    if body.status is not None and body.status != row.status:
        row.status = body.status
        await tx.flush()
        await customer_access_changed.send(tx, customer_id)
        if body.status == "suspended":
            for user_id in await auth.members(tx, customer_id):
                end_sessions(user_id)
    changed = {
        name: value for name, value in (("name", body.name), ("status", body.status)) if value is not None
    }
    announce(tx, "customers", customer_id, [str(customer_id)])
    audit.record(tx, "customer.change", "customer", customer_id, customer_id=customer_id, detail=changed)
    await tx.flush()
    return await get_customer(tx, caller, customer_id)


async def add_member(
    tx: AsyncSession, caller: Caller, customer_id: uuid.UUID, body: MemberCreate
) -> tuple[User, str, str]:
    """Create an account in a company. An owner may create members, an admin owners too.

    Returns the account, its first password and the company's name.
    """
    customer = await get_customer(tx, caller, customer_id)
    if Role(body.role) is Role.OWNER and not caller.is_admin:
        raise ForbiddenError(
            "only an admin can create an owner; create a customer_member, or ask the operator"
        )
    user, password = await auth.create_user(
        tx, email=body.email, display_name=body.display_name, role=Role(body.role), customer_id=customer_id
    )
    announce(tx, "customers", customer_id, [str(customer_id)])
    return user, password, customer.name


async def get_member(
    tx: AsyncSession, caller: Caller, customer_id: uuid.UUID, user_id: uuid.UUID
) -> tuple[User, str]:
    """A member the caller may administer, and the company's name."""
    customer = await get_customer(tx, caller, customer_id)
    user = await tx.scalar(select(User).filter_by(id=user_id, customer_id=customer_id))
    if user is None:
        raise NotFoundError(f"{customer.name} has no member {user_id}")
    if user.role == Role.OWNER.value and not caller.is_admin:
        raise ForbiddenError("only an admin can change an owner's account")
    return user, customer.name


async def change_member(tx: AsyncSession, user: User, body: MemberChange, end_sessions: EndSessions) -> User:
    """Rename, disable or enable. Disabling ends all sessions and takes the person's keys off the machines."""
    if body.display_name is not None:
        user.display_name = body.display_name
    if body.disabled is not None and body.disabled != user.disabled:
        user.disabled = body.disabled
        await tx.flush()
        assert user.customer_id is not None
        await customer_access_changed.send(tx, user.customer_id)
        if body.disabled:
            end_sessions(user.id)
    announce(tx, "customers", user.customer_id, [str(user.customer_id)])
    audit.record(
        tx,
        "user.change",
        "user",
        user.id,
        customer_id=user.customer_id,
        detail={"disabled": user.disabled, "display_name": user.display_name},
    )
    return user
