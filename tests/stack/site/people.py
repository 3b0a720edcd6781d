"""Who takes part in a test: the administrator, a GPU host in a container, a customer with a leased machine."""

import json
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from stack.site.bed import Site

ADMINISTRATOR = "admin@example.com"
ONLINE_S = 60


@dataclass(frozen=True)
class Session:
    access_token: str
    refresh_token: str


@dataclass(frozen=True)
class Account:
    email: str
    password: str


@dataclass(frozen=True)
class Tenant:
    """A member of a customer that has leased the machine."""

    account: Account
    machine: str
    allocation: str


def sign_in(site: Site, account: Account) -> Session:
    body = {"email": account.email, "password": account.password}
    return session_of(site.door.ask("POST", "/api/v1/auth/login", body))


def session_of(found: Any) -> Session:  # Any: JSON
    return Session(found["access_token"], found["refresh_token"])


def first_administrator(site: Site) -> Account:
    """As the guide says, in the backend's container; with a password of their own afterwards."""
    slot = site.serving()["slot"]
    command = ("remotegpu", "server", "bootstrap-admin", "--email", ADMINISTRATOR, "--json")
    found = json.loads(site.compose("exec", "--no-TTY", f"backend-{slot}", *command))
    return with_own_password(site, Account(ADMINISTRATOR, found["password"]))


def with_own_password(site: Site, account: Account) -> Account:
    new = f"{secrets.token_urlsafe(18)}-Rg1"
    body = {"current_password": account.password, "new_password": new}
    site.door.ask("POST", "/api/v1/auth/password", body, token=sign_in(site, account).access_token)
    return Account(account.email, new)


@contextmanager
def gpu_host(site: Site, image: str, administrator: Account) -> Generator[str]:
    """A GPU host elsewhere: it knows the site's address and authority, and joins with a token. Gives its container."""
    body = {"name": "gpu-1", "max_uses": 1, "expires_in_hours": 1}
    token = sign_in(site, administrator).access_token
    (site.root / "join").write_text(site.door.ask("POST", "/api/v1/join-tokens", body, token=token)["token"])
    network, engine = f"{site.project}-hosts", site.engine
    engine.docker("network", "create", network)
    gateway = engine.docker(
        "network", "inspect", "--format={{(index .IPAM.Config 0).Gateway}}", network
    ).stdout.strip()
    join = f"remotegpu-agent enroll --server {site.url} --token-file /join --name gpu-1 --simulate-gpus 2"
    try:
        started = engine.docker(
            *("run", "--detach", "--init", f"--name={site.project}-host", f"--network={network}"),
            *(f"--add-host={site.domain}:{gateway}", f"--volume={site.root}/join:/join:ro"),
            *(f"--volume={site.authority}:/ca.pem:ro", "--env=SSL_CERT_FILE=/ca.pem"),
            *("--entrypoint=sh", image, "-c", f"{join} && exec remotegpu-agent run"),
        )
        yield started.stdout.strip()
    finally:
        engine.docker("rm", "--force", "--volumes", f"{site.project}-host", check=False)
        engine.docker("network", "rm", network, check=False)


def until_online(site: Site, administrator: Account) -> str:
    """The id of the machine, once it is free and reachable."""
    token = sign_in(site, administrator).access_token
    deadline = time.monotonic() + ONLINE_S
    while True:
        found = site.door.ask("GET", "/api/v1/machines", token=token)["items"]
        ready = [one["id"] for one in found if one["reachable"] and one["state"] == "online"]
        if ready:
            return ready[0]
        assert time.monotonic() < deadline, f"no machine is online after {ONLINE_S} s: {found}"
        time.sleep(0.3)


def tenant(site: Site, administrator: Account) -> Tenant:
    """A new customer with one member, who has leased the machine."""
    machine = until_online(site, administrator)
    token = sign_in(site, administrator).access_token
    code = f"t-{secrets.token_hex(3)}"

    def post(path: str, body: object) -> Any:  # Any: JSON
        return site.door.ask("POST", f"/api/v1{path}", body, token=token)

    customer = post("/customers", {"company_code": code, "name": f"Test {code}"})
    person = {"email": f"m@{code}.example", "display_name": "Mo Member", "role": "customer_member"}
    member = post(f"/customers/{customer['id']}/members", person)
    ends_at = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lease = {"machine_id": machine, "customer_id": customer["id"], "ends_at": ends_at, "note": "test"}
    allocation = post("/allocations", lease)
    account = with_own_password(site, Account(person["email"], member["initial_password"]))
    return Tenant(account, machine, allocation["id"])
