"""Who may sign in, and who may stay: decided from the desired state alone."""

import time

import asyncssh
import pytest

from remotegpu.agent.access import authorization
from remotegpu.agent.access.guests import Guest, Guests
from remotegpu.protocol.sync import AccountSpec, DesiredState

CA = asyncssh.generate_private_key("ssh-ed25519")
PERSON = asyncssh.generate_private_key("ssh-ed25519")


def _line(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def _account(
    *, keys: tuple[str, ...] = (), principals: tuple[str, ...] = ("p1",), allocation: str = "a"
) -> AccountSpec:
    return AccountSpec(
        name="acme", allocation_id=allocation, authorized_keys=list(keys), principals=list(principals)
    )


def _certificate(key_id: str = "user:1", principals: tuple[str, ...] = ("p1",)) -> asyncssh.SSHCertificate:
    now = int(time.time())
    return CA.generate_user_certificate(
        PERSON, key_id, principals=list(principals), valid_after=now - 9, valid_before=now + 9
    )


@pytest.mark.parametrize("key_type", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_key_is_known_by_its_fingerprint(key_type: str) -> None:
    key = asyncssh.generate_private_key(key_type)
    credential = authorization.credential_of(key.public_data)
    assert credential.fingerprint == key.get_fingerprint()
    assert credential.identity == f"key {key.get_fingerprint()}"
    assert credential.authority is None


@pytest.mark.parametrize("key_type", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_certificate_is_known_by_its_key_id(key_type: str) -> None:
    key = asyncssh.generate_private_key(key_type)
    certificate = CA.generate_user_certificate(key, "user:7", principals=["p1", "p2"])
    credential = authorization.credential_of(certificate.public_data)
    assert credential.identity == "certificate user:7"
    assert credential.authority == CA.get_fingerprint()
    assert credential.principals == ("p1", "p2")
    assert credential.fingerprint == key.get_fingerprint()


def test_a_certificate_without_a_key_id_is_known_by_its_key() -> None:
    credential = authorization.credential_of(_certificate(key_id="").public_data)
    assert credential.identity == f"certificate {PERSON.get_fingerprint()}"


def test_nobody_may_sign_in_where_nothing_is_listed() -> None:
    assert authorization.authorized_keys(_account(principals=()), [_line(CA)]) is None
    assert authorization.authorized_keys(_account(), []) is None
    assert authorization.authorized_keys(_account(keys=("no key", "")), []) is None


@pytest.mark.parametrize("principal", ["*", "p?", "!p1", 'p"', "p,q", "p q", "", "p\n"])
def test_a_principal_that_would_be_a_pattern_accepts_nobody(principal: str) -> None:
    assert authorization.authorized_keys(_account(principals=(principal,)), [_line(CA)]) is None


def test_options_on_a_key_line_are_not_taken_over() -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    keys = authorization.authorized_keys(
        _account(keys=(f"cert-authority {_line(other)}",), principals=()), []
    )
    assert keys is None or keys.validate(other, "", "127.0.0.1", ["p1"], ca=True) is None


def test_a_key_stays_as_long_as_it_is_listed() -> None:
    credential = authorization.credential_of(PERSON.public_data)
    assert authorization.is_still_allowed(credential, _account(keys=(_line(PERSON),)), [])
    assert not authorization.is_still_allowed(credential, _account(), [])


def test_a_certificate_stays_as_long_as_its_principal_and_its_authority() -> None:
    credential = authorization.credential_of(_certificate().public_data)
    assert authorization.is_still_allowed(credential, _account(), [_line(CA)])
    assert not authorization.is_still_allowed(credential, _account(principals=("p2",)), [_line(CA)])
    assert not authorization.is_still_allowed(credential, _account(), [_line(PERSON)])


class _Connection:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def cut(self, reason: str) -> None:
        self.reasons.append(reason)


def _signed_in(guests: Guests, account: str = "acme") -> _Connection:
    connection = _Connection()
    guests.present.add(Guest(connection, account, authorization.credential_of(PERSON.public_data)))
    return connection


def _desired(*accounts: AccountSpec) -> DesiredState:
    return DesiredState(revision=1, accounts=list(accounts))


def test_the_end_of_a_lease_cuts_its_guests_also_those_still_signing_in() -> None:
    guests = Guests()
    guests.apply(_desired(_account(keys=(_line(PERSON),))))
    inside, signing_in = _signed_in(guests), _Connection()
    guests.present.add(Guest(signing_in, "acme"))
    assert guests.apply(_desired()) == ["acme"]
    assert inside.reasons == signing_in.reasons == ["the lease has ended"]
    assert guests.present == set()


def test_another_allocation_of_the_same_account_is_another_lease() -> None:
    guests = Guests()
    guests.apply(_desired(_account(keys=(_line(PERSON),), allocation="a")))
    inside = _signed_in(guests)
    assert guests.apply(_desired(_account(keys=(_line(PERSON),), allocation="b"))) == ["acme"]
    assert inside.reasons == ["the lease has ended"]


def test_a_guest_whose_key_stays_is_left_alone() -> None:
    guests = Guests()
    account = _account(keys=(_line(PERSON),))
    guests.apply(_desired(account))
    inside = _signed_in(guests)
    assert guests.apply(_desired(account)) == []
    assert inside.reasons == []


def test_a_guest_whose_key_was_withdrawn_is_cut_and_the_account_stays() -> None:
    guests = Guests()
    guests.apply(_desired(_account(keys=(_line(PERSON),))))
    inside = _signed_in(guests)
    assert guests.apply(_desired(_account(keys=(_line(CA),)))) == []
    assert inside.reasons == ["the key or certificate it was opened with is no longer accepted"]
