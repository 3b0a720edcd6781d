"""Secrets are random, private, made once, and read by somebody."""

import re
from pathlib import Path
from typing import get_args

from remotegpu.site import secrets
from remotegpu.site.config.model import Service


def test_they_are_made_once_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    names = [secret.name for secret in secrets.CATALOGUE]
    assert secrets.ensure(tmp_path) == names
    folder = tmp_path / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    values = {path.name: path.read_text() for path in folder.iterdir()}
    assert sorted(values) == sorted(names)
    assert len(set(values.values())) == len(names)
    assert [values[secret.name] for secret in secrets.CATALOGUE if secret.kind == "role"] == [
        secrets.FIRST_ROLE
    ]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o400}
    (folder / "redis_password").unlink()
    assert secrets.ensure(tmp_path) == ["redis_password"]
    kept = {path.name: path.read_text() for path in folder.iterdir() if path.name != "redis_password"}
    assert kept.items() <= values.items()


def test_no_file_or_shell_changes_a_value() -> None:
    for secret in secrets.CATALOGUE:
        value = secrets.new_value(secret.kind)
        if secret.kind == "role":
            assert value == secrets.FIRST_ROLE
            continue
        assert value.startswith("-----BEGIN OPENSSH PRIVATE KEY-----") or re.fullmatch(
            r"[0-9A-Za-z]{20,}", value
        )
        assert value != secrets.new_value(secret.kind)


def test_each_says_what_for_and_who_reads_it() -> None:
    for secret in secrets.CATALOGUE:
        assert set(secret.readers) <= set(get_args(Service))
        assert secret.en
        assert re.search(r"[\u4e00-\u9fff]", secret.zh), secret.name
