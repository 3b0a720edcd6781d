"""``machines``, and finding one by the name a person types."""

from typing import Annotated
from uuid import UUID

import msgspec
from cyclopts import Parameter

from remotegpu.cli.credentials import connect
from remotegpu.cli.output import print_json, print_table, show_bytes, show_time
from remotegpu.client.api import Api, Params
from remotegpu.client.errors import ClientError
from remotegpu.client.models import Machine

COLUMNS = ("NAME", "STATE", "GPUS", "BUSY", "CPU", "MEMORY", "CUSTOMER", "UNTIL")


async def machines(
    *,
    state: str | None = None,
    query: Annotated[str | None, Parameter(name=["--query", "-q"])] = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """List the machines you may use.

    Parameters
    ----------
    state
        Only those in this state (enrolling, online, allocated, reclaiming, maintenance, quarantined).
    query
        Only those whose name contains this.
    json
        Print the server's rows.
    """
    filters: Params = {key: value for key, value in (("state", state), ("q", query)) if value}
    async with connect() as api:
        rows = await api.items("/machines", {**filters, "sort": "name"})
    if json:
        print_json(rows)
        return
    found = [msgspec.json.decode(row, type=Machine) for row in rows]
    print_table(COLUMNS, [row_of(machine) for machine in found], empty="No machines.")


def row_of(machine: Machine) -> tuple[str, ...]:
    lease = machine.allocation
    return (
        machine.name,
        machine.state if machine.reachable else f"{machine.state} (unreachable)",
        show_gpus(machine),
        show_utilization(machine),
        str(machine.cpu_threads or "-"),
        show_bytes(machine.memory_bytes),
        lease.customer_name if lease else "-",
        show_time(lease.ends_at) if lease else "-",
    )


def show_gpus(machine: Machine) -> str:
    """``8 × NVIDIA H100 80GB HBM3``; simulated ones say so."""
    if not machine.gpu_count:
        return "none"
    mark = " (simulated)" if machine.simulated and "imulated" not in (machine.gpu_model or "") else ""
    return f"{machine.gpu_count} × {machine.gpu_model or 'unknown'}{mark}"


def show_utilization(machine: Machine) -> str:
    """Mean over the GPUs that report it."""
    known = [
        g.utilization_ratio
        for g in (machine.sample.gpus if machine.sample else [])
        if g.utilization_ratio is not None
    ]
    return f"{100 * sum(known) / len(known):.0f} %" if known else "-"


async def find_machine(api: Api, name: str) -> Machine:
    """By exact name or id. Raises :class:`ClientError` with the names there are."""
    if is_id(name):
        return await api.get(f"/machines/{name}", Machine)
    rows = await api.items("/machines", {"q": name})
    found = [machine for row in rows if (machine := msgspec.json.decode(row, type=Machine)).name == name]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(machine.id for machine in found)
        raise ClientError(f"{len(found)} machines are named {name}", f"one of the ids {ids}", "use an id")
    known = [msgspec.json.decode(row, type=Machine).name for row in await api.items("/machines")]
    expected = f"one of {', '.join(sorted(known)[:10])}" if known else "a machine leased to your company"
    raise ClientError(f"no machine named {name!r}", expected, "remotegpu machines")


def is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
