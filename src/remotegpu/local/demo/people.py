"""Who takes part: a fresh customer with an owner and a member, and how anybody signs in."""

import secrets
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from remotegpu.client.api import Api
from remotegpu.client.errors import ApiError
from remotegpu.client.models import Customer, NewMember, SignIn, SshKey
from remotegpu.client.tokens import FixedToken


@dataclass(frozen=True)
class Company:
    """A customer with its people; passwords are the initial ones."""

    customer: Customer
    owner: NewMember
    member: NewMember


async def sign_in(server: str, email: str, password: str) -> SignIn:
    """A session whose tokens come in the body. Raises :class:`ApiError` for a wrong password."""
    async with Api(server) as api:
        body = {"email": email, "password": password}
        reply = await api.send("POST", "/auth/login", body=body, headers={"X-Token-Delivery": "body"})
    return msgspec.json.decode(reply, type=SignIn)


async def change_password(server: str, session: SignIn, old: str, new: str) -> SignIn:
    async with Api(server, FixedToken(session.access_token)) as api:
        return await api.post("/auth/password", SignIn, {"current_password": old, "new_password": new})


async def is_locked_to_password_change(server: str, session: SignIn) -> bool:
    """Whether everything else is refused until the password was changed."""
    async with Api(server, FixedToken(session.access_token)) as api:
        try:
            await api.send("GET", "/machines")
        except ApiError as error:
            return error.code == "password_change_required"
    return False


async def create_company(admin: Api) -> Company:
    """A customer with its own name in every run, so that a second run meets nothing of the first."""
    code = f"demo-{secrets.token_hex(3)}"
    customer = await admin.post(
        "/customers", Customer, {"company_code": code, "name": f"Demo Robotics {code}"}
    )
    owner = await create_member(admin, customer, "Olivia Owner", "customer_owner")
    member = await create_member(admin, customer, "Max Member", "customer_member")
    return Company(customer, owner, member)


async def create_member(admin: Api, customer: Customer, name: str, role: str) -> NewMember:
    email = f"{name.split(maxsplit=1)[0].lower()}@{customer.company_code}.example"
    body = {"email": email, "display_name": name, "role": role}
    return await admin.post(f"/customers/{customer.id}/members", NewMember, body)


async def add_ssh_key(api: Api) -> SshKey:
    """Registers the public half of a fresh key; the private half is not needed, certificates are."""
    public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return await api.post(
        "/auth/ssh-keys", SshKey, {"name": "laptop", "public_key": f"{public.decode()} demo"}
    )


def new_password() -> str:
    """Random, and long enough for any strength check."""
    return secrets.token_urlsafe(18)
