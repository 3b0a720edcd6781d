"""Decisions about passwords, lockout, cookies and keys."""

from types import SimpleNamespace
from typing import Any

import asyncssh
import pytest

from remotegpu.server.core.errors import InvalidError
from remotegpu.server.domains.auth import lockout, passwords, routes, ssh_keys


def test_each_failure_beyond_the_free_ones_doubles_the_wait() -> None:
    waits = [lockout.lock_seconds(failures, 5) for failures in range(12)]
    assert waits == [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900]
    assert lockout.lock_seconds(10**6, 5) == 900


def test_an_account_that_does_not_exist_never_matches_whatever_is_guessed() -> None:
    stored = passwords.hash_password("correct horse battery")
    assert passwords.matches("correct horse battery", stored)
    assert not passwords.matches("wrong", stored)
    assert not passwords.matches("", None)


def test_first_passwords_are_random_and_readable() -> None:
    made = {passwords.initial_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(password) == 16 and not set(password) & set("lIO01") for password in made)
    for password in made:
        passwords.check_strength(password, known=["li.wei@example.com"])


@pytest.mark.parametrize("password", ["x" * 256, "a" * 9, "liwei-2026", "qwertyuiop", "P@ssw0rd2026"])
def test_weak_passwords_are_refused_quickly(password: str) -> None:
    with pytest.raises(InvalidError) as refused:
        passwords.check_strength(password, known=["li.wei@example.com", "liwei"])
    assert refused.value.code == "weak_password"
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "secure"), [("https://gpu.example.com", True), ("http://127.0.0.1:8080", False)]
)
def test_behind_https_the_cookie_is_for_https_only(url: str, *, secure: bool) -> None:
    services: Any = SimpleNamespace(settings=SimpleNamespace(public_url=url))
    cookie = routes._cookie(services, "value", 60)
    assert (cookie.secure, cookie.httponly, cookie.samesite, cookie.path) == (
        secure,
        True,
        "strict",
        "/api/v1/auth",
    )


def public_key(algorithm: str, **how: Any) -> str:
    key = asyncssh.generate_private_key(algorithm, comment="li.wei@laptop", **how)
    return key.export_public_key("openssh").decode()


@pytest.mark.parametrize(
    "text",
    [
        public_key("ssh-ed25519"),
        public_key("ssh-rsa", key_size=2048),
        public_key("ecdsa-sha2-nistp256"),
        f"  {public_key('ssh-ed25519')}\n",
    ],
    ids=["ed25519", "rsa-2048", "ecdsa", "with space around"],
)
def test_keys_are_kept_without_their_comment(text: str) -> None:
    line, fingerprint = ssh_keys.parse_public_key(text)
    assert len(line.split()) == 2
    assert fingerprint.startswith("SHA256:")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "a private key"),
        (public_key("ssh-rsa", key_size=1024), "too weak"),
        (public_key("ssh-dss"), "too weak"),
        (f"{public_key('ssh-ed25519').strip()}\n{public_key('ssh-ed25519').strip()}\n", "2 lines"),
        (f'command="rm -rf /" {public_key("ssh-ed25519")}', "not a public key"),
        ("ssh-ed25519 AAAA", "not a public key"),
        ("🔑" * 10, "not a public key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nfoo", "not a public key"),
    ],
    ids=["private", "short RSA", "DSA", "two keys", "options", "cut off", "no key", "half a file"],
)
def test_what_is_no_usable_key_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(InvalidError) as refused:
        ssh_keys.parse_public_key(text)
    assert complaint in refused.value.errors[0].found
