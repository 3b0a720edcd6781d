"""One acceptable body for every route that takes one, with ids of a given company in it."""

from typing import Any

import msgspec

import server_client as sc
from integration.server_api.world import Company, Person, new_public_key
from remotegpu.protocol.sync import SyncRequest
from remotegpu.protocol.version import PROTOCOL_VERSION


def body_for(name: str, company: Company, person: Person) -> Any:
    """A body for the handler ``name``. Fails for a handler nobody has taught us a body for."""
    bodies = {
        "login": {"email": person.client.user["email"], "password": person.client.password},
        "refresh_session": {"refresh_token": "none.such"},
        "logout": {"refresh_token": "none.such"},
        "change_password": {"current_password": "not the password", "new_password": "irrelevant"},
        "create_token": {"name": "another"},
        "add_ssh_key": {"name": "another", "public_key": new_public_key()},
        "create_customer": {
            "company_code": f"new-{new_public_key()[-8:-2].encode().hex()}",
            "name": "新公司",
        },
        "change_customer": {"name": "Renamed"},
        "add_member": {
            "email": f"m{new_public_key()[-8:-2].encode().hex()}@example.com",
            "display_name": "Nobody",
            "role": "customer_member",
        },
        "change_member": {"display_name": "Renamed"},
        "change_machine": {"region": "rack-7"},
        "create_join_token": {"name": "rack"},
        "create_allocation": {
            "machine_id": company.idle_agent.machine_id,
            "customer_id": company.id,
            "starts_at": sc.in_days(40),
            "ends_at": sc.in_days(41),
        },
        "extend_allocation": {"ends_at": sc.in_days(31)},
        "end_allocation": {"reason": "over"},
        "submit_task": {
            "machine_id": company.agent.machine_id,
            "name": "another",
            "kind": "shell",
            "command": "true",
        },
        "create_certificate": {"public_key": new_public_key()},
        "enrol": {
            "join_token": "rgj_unknown",
            "name": "stranger",
            "protocol_version": PROTOCOL_VERSION,
            "agent_version": "0",
            "inventory": sc.inventory("stranger"),
        },
        "sync": SyncRequest(
            agent_version="0",
            protocol_version=PROTOCOL_VERSION,
            boot_id="b",
            applied_revision=0,
            clock=0.0,
            wait=False,
        ),
        "offer_artifacts": {"files": []},
    }
    assert name in bodies, f"teach the tests a body for the handler {name} (bodies.py)"
    return msgspec.to_builtins(bodies[name])
