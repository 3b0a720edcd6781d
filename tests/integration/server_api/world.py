"""Two companies that have one of everything, and people of every role: the stage on which each route is tried."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import asyncssh

import server_client as sc
from remotegpu.protocol.attempts import ArtifactFile, AttemptReport
from remotegpu.server.core.context import Role
from server_client import Client, FakeAgent, ServerProcess
from services import Stack

NOBODY = "00000000-0000-7000-8000-000000000000"
"""A well-formed id of nothing."""


@dataclass
class Person:
    """``token_id``, ``key_id``: a personal access token and an SSH key of theirs; ``personal`` uses that token."""

    client: Client
    role: Role
    token_id: str = ""
    key_id: str = ""
    personal: Client | None = None


@dataclass
class Company:
    """``spare_id``: a member nobody signs in as, to be changed. ``scheduled``: a lease that has not begun."""

    customer: dict[str, Any]
    owner: Person
    member: Person
    spare_id: str
    agent: FakeAgent
    idle_agent: FakeAgent
    allocation_id: str
    scheduled_id: str
    task_id: str
    attempt_id: str
    artifact_id: str
    session_id: str = ""
    names: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        return str(self.customer["id"])

    def values(self, person: Person) -> dict[tuple[str, str], str]:
        """What fills each path parameter so that it names something of this company, or of ``person``."""
        return {
            ("tokens", "token_id"): person.token_id,
            ("ssh-keys", "key_id"): person.key_id,
            ("customers", "customer_id"): self.id,
            ("members", "user_id"): self.spare_id,
            ("machines", "machine_id"): self.agent.machine_id,
            ("allocations", "allocation_id"): self.allocation_id,
            ("tasks", "task_id"): self.task_id,
            ("artifacts", "artifact_id"): self.artifact_id,
            ("attempts", "attempt_id"): self.attempt_id,
            ("streams", "stream_id"): self.session_id or NOBODY,
        }

    def marks(self) -> set[str]:
        """Every text that must never appear in an answer to somebody of another company."""
        ids = {
            self.id,
            self.spare_id,
            self.agent.machine_id,
            self.allocation_id,
            self.scheduled_id,
            self.task_id,
        }
        ids |= {
            self.attempt_id,
            self.artifact_id,
            self.session_id,
            self.customer["company_code"],
            self.agent.name,
        }
        for person in (self.owner, self.member):
            ids |= {person.client.user_id, person.client.user["email"], person.token_id, person.key_id}
        return {text for text in ids | self.names if text}


@dataclass
class World:
    admin: Person
    ours: Company
    theirs: Company
    join_token_id: str

    def values(self, company: Company, person: Person) -> dict[tuple[str, str], str]:
        return company.values(person) | {("join-tokens", "token_id"): self.join_token_id}


def new_public_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip()


async def furnish(client: Client, role: Role) -> Person:
    """Give somebody a personal access token and an SSH key."""
    token = await client.post("/auth/tokens", {"name": "token"}, expect=201)
    key = await client.post("/auth/ssh-keys", {"name": "key", "public_key": new_public_key()}, expect=201)
    return Person(client, role, token["id"], key["id"], client.with_token(token["token"]))


async def build_company(admin: Client) -> Company:
    """A company with people, a leased machine, another lease to come, and a task that left an artifact."""
    customer = await sc.new_customer(admin)
    owner = await furnish(await sc.new_member(admin, customer["id"], "customer_owner"), Role.OWNER)
    member = await furnish(await sc.new_member(admin, customer["id"], "customer_member"), Role.MEMBER)
    spare = await admin.post(
        f"/customers/{customer['id']}/members",
        {
            "email": f"spare@{customer['company_code']}.example",
            "display_name": "Spare",
            "role": "customer_member",
        },
        expect=201,
    )
    agent, idle = await asyncio.gather(FakeAgent.enrol(admin), FakeAgent.enrol(admin))
    allocation = await sc.lease(admin, agent.machine_id, customer["id"])
    later = {"machine_id": idle.machine_id, "customer_id": customer["id"]}
    scheduled = await admin.post(
        "/allocations", later | {"starts_at": sc.in_days(5), "ends_at": sc.in_days(9)}, expect=201
    )
    task_id, attempt_id, artifact_id = await finished_task(member.client, agent)
    return Company(
        customer=customer,
        owner=owner,
        member=member,
        spare_id=spare["id"],
        agent=agent,
        idle_agent=idle,
        allocation_id=allocation["id"],
        scheduled_id=scheduled["id"],
        task_id=task_id,
        attempt_id=attempt_id,
        artifact_id=artifact_id,
        names={spare["email"], customer["name"]},
    )


async def finished_task(client: Client, agent: FakeAgent) -> tuple[str, str, str]:
    """A task that ran and left a file. Returns the ids of task, attempt and artifact."""
    body = {"machine_id": agent.machine_id, "name": "work", "kind": "shell", "command": "true"}
    task = await client.post("/tasks", body, expect=201)
    await agent.sync()
    assert agent.desired is not None
    attempt_id = agent.desired.attempts[0].attempt_id
    file = ArtifactFile(path="result.txt", size_bytes=5, sha256="ab" * 32)
    await agent.client.post(f"/agent/attempts/{attempt_id}/artifacts", {"files": [file]})
    await agent.client.post(f"/agent/attempts/{attempt_id}/log?offset=0&final=1", raw=b"hello\n")
    report = AttemptReport(
        attempt_id=attempt_id, state="succeeded", exit_code=0, log_bytes=6, artifacts=[file]
    )
    await agent.sync(attempts=[report])
    detail = await client.get(f"/tasks/{task['id']}")
    return task["id"], attempt_id, detail["artifacts"][0]["id"]


async def open_session(person: Client, agent: FakeAgent) -> str:
    """A person connects to their machine; the session's id. The agent does not dial, so it ends soon."""
    url = person.url(f"/machines/{agent.machine_id}/ssh")
    async with person.http.ws_connect(url, headers={"Authorization": f"Bearer {person.token}"}) as socket:
        await agent.sync(wait=True)
        assert agent.desired is not None
        stream_id = agent.desired.streams[0].stream_id
        await socket.close()
    return stream_id


async def until_quiet(person: Client) -> None:
    """No session is open any more, so that nothing changes by itself."""
    for _ in range(100):
        if all(
            entry["state"] not in {"connecting", "active"}
            for entry in (await person.get("/sessions"))["items"]
        ):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("a session did not end")


async def build(admin: Client) -> World:
    ours, theirs = await asyncio.gather(build_company(admin), build_company(admin))
    for company in (ours, theirs):
        company.session_id = await open_session(company.member.client, company.agent)
    for company in (ours, theirs):
        await until_quiet(company.member.client)
    join = await admin.post("/join-tokens", {"name": "rack"}, expect=201)
    return World(await furnish(admin, Role.ADMIN), ours, theirs, join["id"])


def nothing_of(company: Company) -> Company:
    """A company whose every id names nothing."""

    gone = dict.fromkeys(("spare_id", "allocation_id", "scheduled_id", "task_id", "attempt_id"), NOBODY)
    return Company(
        customer={"id": NOBODY, "company_code": "none"},
        owner=company.owner,
        member=company.member,
        agent=replace(company.agent, machine_id=NOBODY),
        idle_agent=replace(company.idle_agent, machine_id=NOBODY),
        artifact_id=NOBODY,
        session_id=NOBODY,
        **gone,
    )


BUSINESS = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename !~ '^(audit|alembic)'"
ROWS = "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM (SELECT * FROM {}) t"


def digest(stack: Stack, server: ServerProcess) -> dict[str, str]:
    """A hash of every table but the audit trail, without the columns that record mere use."""
    with stack.connect(dict(server.env)) as db:
        db.execute("UPDATE access_tokens SET last_used_at = NULL")
        tables = [row[0] for row in db.execute(BUSINESS).fetchall()]
        return {table: str(db.execute(ROWS.format(table)).fetchone()) for table in tables}  # pyright: ignore[reportArgumentType]
