"""What must not leave a site, in the forms in which it turns up in logs; and what must stay readable."""

import pytest

from remotegpu.kit.redaction import Redactor, redactor

NOTHING_KNOWN = Redactor(())
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef1234567890", "abcdef1234567890"),
        ('"authorization": "Basic dXNlcjpwYXNzd29yZA=="', "dXNlcjpwYXNzd29yZA=="),
        ("curl -H 'Authorization: Token 12345'", "12345"),
        ("Cookie: rg_refresh=s3cr3tcookie; other=1", "s3cr3tcookie"),
        ("sent bearer abcdef1234567890 to", "abcdef1234567890"),
        (f"token {JWT} refused", JWT),
        ("node rgn_0123456789abcdefABCDEF-_x said", "rgn_0123456789abcdefABCDEF-_x"),
        ("GET https://gpu.example.com/a/b?ticket=xyz&v=1 HTTP/1.1", "xyz"),
        ('"GET /api/v1/machines/m1/terminal?ticket=abc123 HTTP/2.0"', "abc123"),
        ("postgresql://app:hunter22@postgresql/remotegpu", "hunter22"),
        ("repo1-cipher-pass=0123456789", "0123456789"),
        ("PGPASSWORD=hunter22 psql", "hunter22"),
        ('{"s3_secret_key": "wJalrXUtnFEMI/K7"}', "wJalrXUtnFEMI/K7"),
        ('{"access_key": "wJalrXUtnFEMI", "region": "eu"}', "wJalrXUtnFEMI"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n",
            "b3BlbnNzaC1rZXktdjEA",
        ),
        ("-----BEGIN PRIVATE KEY-----\ncut off in the midd", "cut off in the midd"),
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in NOTHING_KNOWN(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24 12:00:00 LOG:  database system is ready to accept connections",
        "REDIS_PASSWORD_FILE=/run/secrets/redis_password",
        '{"path":"/api/v1/agent/sync","status":401,"upstream":"172.30.1.12:8080"}',
        "invalid token: expired",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "is anybody there? yes",
    ],
)
def test_what_helps_to_find_the_fault_stays(text: str) -> None:
    assert NOTHING_KNOWN(text) == text


def test_a_value_is_known_without_what_its_line_says_of_it() -> None:
    redact = redactor(["key-in-use\nold-key-1 repository=ab until=2026-03-08T00:00:00+00:00"])
    assert redact("cipher: old-key-1 and key-in-use") == "cipher: *** and ***"


def test_known_values_are_hidden_wherever_they_stand_line_by_line() -> None:
    redact = redactor(
        ["first-password\nsecond-password\n", "abc", "-----BEGIN KEY-----\nbase64line\n-----END KEY-----"]
    )
    said = "xfirst-passwordx and second-password in abcdef\nbase64line"
    assert redact(said) == "x***x and *** in abcdef\n***"
    assert "first-password" not in repr(redact)


def test_a_value_inside_a_longer_one_leaves_no_rest() -> None:
    assert redactor(["secret1", "secret1-and-more"])("secret1-and-more") == "***"
