"""Taking a customer's identity in a helper process. There is no way back."""

import os
from typing import TypedDict


class Identity(TypedDict):
    """``uid`` None: stay who we are (directory isolation). ``groups``: supplementary group ids."""

    uid: int | None
    gid: int | None
    groups: list[int]
    home: str


def become(identity: Identity) -> None:
    """Drop to the account's user and go to its home, or ``/`` where that cannot be entered."""
    uid, gid = identity["uid"], identity["gid"]
    if uid is not None and gid is not None:
        os.setgroups(identity["groups"])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    try:
        os.chdir(identity["home"])
    except OSError:
        os.chdir("/")
