"""The platform's own first sign-in: first administrator, lasting first password, join token.

Crash-safe by order: a password is on disk before the server knows it, so a kill at any point loses none.
"""

import http.client
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remotegpu.kit import files
from remotegpu.local.errors import LocalError
from remotegpu.local.layout import Layout
from remotegpu.local.plan import ADMIN_EMAIL

_TIMEOUT_S = 30.0


class ApiRefusedError(LocalError):
    """The server answered with a problem document."""

    def __init__(self, method: str, path: str, status: int, code: str, detail: str) -> None:
        super().__init__(f"{method} {path} answered {status} {code}: {detail}")
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Api:
    """The few calls that are needed here, over the public API on loopback."""

    port: int
    token: str = field(default="", repr=False)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
        """Raises :class:`ApiRefusedError` for any status but 2xx."""
        headers = {"content-type": "application/json", "x-token-delivery": "body"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", f"/api/v1{path}", json.dumps(body), headers)
            answer = connection.getresponse()
            found = _json_object(answer.read())
        finally:
            connection.close()
        if answer.status >= 300:
            detail = str(found.get("detail") or found.get("title") or "")
            raise ApiRefusedError("POST", path, answer.status, str(found.get("code", "")), detail)
        return found


def _json_object(body: bytes) -> dict[str, Any]:  # Any: JSON
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class SignIn:
    api: Api
    must_change: bool


def sign_in(port: int, password: str) -> SignIn | None:
    """None when the password is not (or no longer) right. Other refusals raise :class:`ApiRefusedError`."""
    try:
        found = Api(port).post("/auth/login", {"email": ADMIN_EMAIL, "password": password})
    except ApiRefusedError as error:
        if error.status == 401:
            return None
        raise
    return SignIn(Api(port, str(found["access_token"])), bool(found["must_change_password"]))


def administrator(layout: Layout, port: int, first_password: Path) -> None:
    """Replace the first password by a lasting random one in ``secrets/admin_password``. Repeatable.

    ``first_password``: the file that ``server bootstrap-admin`` took it from.
    """
    lasting = kept_password(layout.admin_password).read_text(encoding="utf-8")
    if sign_in(port, lasting) is None:
        first = first_password.read_text(encoding="utf-8")
        signed_in = sign_in(port, first)
        if signed_in is None:
            layout.admin_password.unlink()
            raise LocalError(
                f"The administrator {ADMIN_EMAIL} exists, but the first password in {first_password} does not "
                "sign in.\n"
                "Sign in with the password you chose; this computer's agent can be enrolled with a join token then."
            )
        signed_in.api.post("/auth/password", {"current_password": first, "new_password": lasting})
    first_password.unlink(missing_ok=True)


def kept_password(path: Path) -> Path:
    """``path``, with a new random password in it unless there is one already."""
    if not path.exists():
        files.write_private(path, f"{secrets.token_urlsafe(18)}-Rg1")
    return path


def forget_changed_password(layout: Layout, port: int) -> bool:
    """Remove the kept password when it no longer signs in. True when it was removed."""
    password = layout.admin_password.read_text(encoding="utf-8").strip()
    if sign_in(port, password) is not None:
        return False
    layout.admin_password.unlink()
    return True


def join_token(layout: Layout, port: int, name: str) -> str:
    """A join token for one use within the hour. Raises :class:`LocalError` when nobody's password is known here."""
    password = (
        layout.admin_password.read_text(encoding="utf-8").strip() if layout.admin_password.exists() else ""
    )
    signed_in = sign_in(port, password) if password else None
    if signed_in is None:
        raise LocalError(
            "This computer's agent is not enrolled, and the administrator's password is not kept here any more.\n"
            "Create a join token in the console and run: remotegpu agent enroll "
            f"--server http://127.0.0.1:{port} --token-file - --env-file {layout.agent_env}"
        )
    body = {"name": name, "max_uses": 1, "expires_in_hours": 1}
    return str(signed_in.api.post("/join-tokens", body)["token"])
