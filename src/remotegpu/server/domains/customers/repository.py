"""Reading customers with their counts."""

from sqlalchemy import column, func, select, table

from remotegpu.server.core.paging import Rows
from remotegpu.server.domains.auth.models import User
from remotegpu.server.domains.customers.models import Customer

allocations = table("allocations", column("customer_id"), column("state"))
"""Only these columns, so that customers does not depend on the allocations domain above it."""
HOLDING_STATES = ("active", "expiring", "reclaiming")

member_count = select(func.count()).select_from(User).where(User.customer_id == Customer.id).scalar_subquery()
machine_count = (
    select(func.count())
    .select_from(allocations)
    .where(allocations.c.customer_id == Customer.id, allocations.c.state.in_(HOLDING_STATES))
    .scalar_subquery()
)


def customers() -> Rows:
    """Rows of (Customer, members, machines)."""
    return select(Customer, member_count, machine_count)
