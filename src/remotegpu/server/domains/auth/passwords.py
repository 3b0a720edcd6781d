"""Passwords: argon2id at rest, strength judged by zxcvbn, random first ones."""

import secrets

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from remotegpu.server.core.errors import FieldProblem, InvalidError

MIN_LENGTH = 10
MIN_SCORE = 3
"""zxcvbn's scale 0–4; 3 means about 10^8 to 10^10 guesses. Source: https://github.com/dropbox/zxcvbn."""
ZXCVBN_MAX = 72
"""zxcvbn's cost grows with the square of the length; what comes after does not make a password weaker."""
INITIAL_ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Without characters that are mistaken for one another when read from paper or over the phone."""

_hasher = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),))
"""argon2id with 19 MiB, t=2, p=1: OWASP password storage cheat sheet."""

_decoy = _hasher.hash(secrets.token_urlsafe(16))


def hash_password(password: str) -> str:
    return _hasher.hash(password)


def matches(password: str, stored: str | None) -> bool:
    """Constant work whether or not the account exists, so that timing does not tell."""
    return _hasher.verify(password, stored or _decoy) and stored is not None


def initial_password() -> str:
    """16 characters, about 92 bits."""
    return "".join(secrets.choice(INITIAL_ALPHABET) for _ in range(16))


def check_strength(password: str, *, known: list[str]) -> None:
    """Raise :class:`InvalidError` (``weak_password``) listing everything wrong. ``known``: words such as the e-mail."""
    import zxcvbn  # noqa: PLC0415 - its dictionaries take 13 MiB, which only a change of password needs

    problems: list[FieldProblem] = []
    if len(password) < MIN_LENGTH:
        problems.append(
            FieldProblem("new_password", f"{len(password)} characters", f"at least {MIN_LENGTH} characters")
        )
    judged = zxcvbn.zxcvbn(password[:ZXCVBN_MAX], user_inputs=known)
    if judged["score"] < MIN_SCORE:
        hints = [judged["feedback"]["warning"] or "", *judged["feedback"]["suggestions"]]
        advice = " ".join(hint for hint in hints if hint) or "use several unrelated words"
        problems.append(
            FieldProblem(
                "new_password", f"strength {judged['score']} of 4", f"at least {MIN_SCORE}: {advice}"
            )
        )
    if problems:
        raise InvalidError("the new password is too weak", code="weak_password", errors=problems)
