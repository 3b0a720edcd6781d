"""The administrator's sign-in across starts. A first start must change the password, so the demo keeps the new one."""

import os
from pathlib import Path

import msgspec

from remotegpu.client.errors import ApiError, ClientError
from remotegpu.client.models import SignIn
from remotegpu.local.demo.people import change_password, new_password, sign_in


class Remembered(msgspec.Struct):
    """What a person would note down; kept readable by the owner of the data directory only."""

    email: str
    password: str


class Administrator:
    """``file`` lies in the data directory's secrets; ``first_password`` is the one the platform printed, if any."""

    def __init__(self, email: str, first_password: str | None, file: Path) -> None:
        self.email = email
        self._first_password = first_password
        self._file = file
        self.password = ""

    async def sign_in(self, server: str) -> SignIn:
        """Raises :class:`ClientError` when the password was changed by somebody else."""
        for password in self._known_passwords():
            try:
                session = await sign_in(server, self.email, password)
            except ApiError as error:
                if error.code != "invalid_credentials":
                    raise
                continue
            self.password = password
            return await self._changed(server, session) if session.must_change_password else session
        raise ClientError(
            f"the password of {self.email} was changed outside the demo",
            f"the one in {self._file}",
            "run the demo with a data directory of its own: make demo DATA_DIR=/path (or --data-dir)",
        )

    async def _changed(self, server: str, session: SignIn) -> SignIn:
        """Written down before it is changed: a crash between the two must not lock anybody out."""
        old, self.password = self.password, new_password()
        self._remember()
        return await change_password(server, session, old, self.password)

    def _known_passwords(self) -> list[str]:
        known: list[str] = []
        if self._file.exists():
            known.append(msgspec.json.decode(self._file.read_bytes(), type=Remembered).password)
        if self._first_password:
            known.append(self._first_password)
        return known

    def _remember(self) -> None:
        draft = self._file.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(Remembered(self.email, self.password)))
        draft.replace(self._file)
