"""The services' settings files say what they must."""

import datetime as dt
import json
import tomllib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from remotegpu.local import certificates, objects, postgres, valkey
from remotegpu.local.objects import ObjectFiles


def _postgres(*, durable: bool) -> dict[str, str]:
    text = postgres.configuration(postgres.PostgresOptions(port=5433, durable=durable))
    return dict(line.split(" = ", 1) for line in text.splitlines())


def test_postgres_is_durable_small_and_on_loopback_only() -> None:
    found = _postgres(durable=True)
    assert found["fsync"] == found["synchronous_commit"] == found["full_page_writes"] == "on"
    assert found["listen_addresses"] == "'127.0.0.1'"
    assert found["unix_socket_directories"] == "''"
    assert found["shared_buffers"] == "'64MB'"
    assert found["max_connections"] == "100"


def test_only_throw_away_clusters_skip_syncing() -> None:
    assert _postgres(durable=False)["fsync"] == "off"


def test_postgres_admits_nobody_without_a_password() -> None:
    rules = [line.split() for line in postgres.host_based_access().splitlines()]
    assert {rule[0] for rule in rules} == {"host"}
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}
    assert {rule[3] for rule in rules} == {"127.0.0.1/32"}


def test_initdb_does_not_depend_on_installed_locales(tmp_path: Path) -> None:
    arguments = postgres.initdb_arguments(Path("/b"), tmp_path, tmp_path / "pw", durable=True)
    assert "--builtin-locale=C.UTF-8" in arguments
    assert "--no-sync" not in arguments


def test_valkey_keeps_an_append_only_file_and_asks_for_the_password(tmp_path: Path) -> None:
    lines = valkey.configuration(port=6380, directory=tmp_path, password="secret").splitlines()
    assert {"bind 127.0.0.1", "appendonly yes", "appendfsync everysec", "requirepass secret"} <= set(lines)


def test_valkey_paths_with_spaces_and_quotes_are_quoted() -> None:
    assert valkey.quoted(Path('/a b/"c"')) == '"/a b/\\"c\\""'


def test_s3_knows_one_identity_and_nobody_anonymous() -> None:
    found = json.loads(objects.identities("AK", "SK"))["identities"]
    assert [(entry["name"], entry["credentials"]) for entry in found] == [
        ("remotegpu", [{"accessKey": "AK", "secretKey": "SK"}])
    ]


def test_s3_parts_talk_with_certificates_and_signed_tokens() -> None:
    files = ObjectFiles(Path('/data dir/with "quotes"'))
    found = tomllib.loads(objects.security(files, ["a", "b", "c", "d"]))
    assert found["jwt"]["signing"]["key"] == "a"
    assert found["jwt"]["filer_signing"]["read"]["key"] == "d"
    assert found["grpc"]["ca"] == str(files.authority)
    assert {part for part in found["grpc"] if part != "ca"} >= {"master", "volume", "filer", "s3", "client"}


def test_s3_reports_nothing_home() -> None:
    ports = dict.fromkeys(
        ("master", "volume", "filer", "s3", "master_grpc", "volume_grpc", "filer_grpc", "s3_grpc"), 1
    )
    text = objects.options(
        ObjectFiles(Path("/d")), {**ports, "object_admin": 1, "object_admin_grpc": 1}, admin_password="p"
    )
    assert "master.telemetry=false" in text.splitlines()
    assert "ip.bind=127.0.0.1" in text.splitlines()


def test_the_node_certificate_is_signed_by_its_authority() -> None:
    issued = certificates.issue(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    authority = x509.load_pem_x509_certificate(issued.authority.encode())
    node = x509.load_pem_x509_certificate(issued.certificate.encode())
    node.verify_directly_issued_by(authority)
    assert isinstance(node.public_key(), ec.EllipticCurvePublicKey)
