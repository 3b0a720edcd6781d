"""The files that a site's file names: what would be found half-way through a deployment is found before it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remotegpu.cli.main import run
from remotegpu.kit.certificates import Pair, issue, new_authority
from remotegpu.kit.clock import utc_now
from remotegpu.site.config import annotated, named_files
from remotegpu.site.config.model import S3, Backup, Components, Config, Release, Site, Tls

NOW = datetime(2026, 11, 24, tzinfo=UTC)
YEAR = timedelta(days=365)
DOMAIN = "gpu.example.com"
AUTHORITY = new_authority("test", NOW, 10 * YEAR)
GOOD = issue(AUTHORITY, [DOMAIN], NOW, YEAR)
OTHER = issue(AUTHORITY, ["other.example.com", "www.gpu.example.com"], NOW, YEAR)


def config(**parts: object) -> Config:
    values = {"site": Site(name="acme", domain=DOMAIN), "release": Release(version="v1.0.0")} | parts
    return Config(**values)  # type: ignore[arg-type]


def with_files(folder: Path, certificate: str, key: str) -> Config:
    (folder / "site.pem").write_text(certificate)
    (folder / "site.key").write_text(key)
    return config(tls=Tls(mode="files", certificate=f"{folder}/site.pem", key=f"{folder}/site.key"))


def found(tested: Config, now: datetime = NOW) -> list[tuple[str, str]]:
    return [(problem.key, problem.found) for problem in named_files.problems(tested, now)]


@pytest.mark.parametrize("names", [[DOMAIN], ["*.example.com"], ["example.com", DOMAIN]])
def test_a_certificate_for_the_site_with_its_key_is_taken(tmp_path: Path, names: list[str]) -> None:
    pair = issue(AUTHORITY, names, NOW, YEAR)
    assert found(with_files(tmp_path, pair.certificate + AUTHORITY.certificate, pair.key)) == []


@pytest.mark.parametrize(
    ("pair", "days", "said"),
    [
        (OTHER, 0, [("tls.certificate", "one for other.example.com, www.gpu.example.com")]),
        (GOOD, 400, [("tls.certificate", "one that ended on 2027-11-24")]),
        (Pair(GOOD.certificate, OTHER.key), 0, [("tls.key", "no key of this certificate")]),
        (Pair(GOOD.certificate, "not a key"), 0, [("tls.key", "no key of this certificate")]),
        (Pair(GOOD.key, GOOD.key), 0, [("tls.certificate", "no certificate")]),
        (
            Pair(OTHER.certificate, GOOD.key),
            400,
            [
                ("tls.certificate", "one for other.example.com, www.gpu.example.com"),
                ("tls.certificate", "one that ended on 2027-11-24"),
                ("tls.key", "no key of this certificate"),
            ],
        ),
    ],
)
def test_one_that_visitors_would_not_believe_is_named(
    tmp_path: Path, pair: Pair, days: int, said: list[tuple[str, str]]
) -> None:
    assert found(with_files(tmp_path, pair.certificate, pair.key), NOW + timedelta(days=days)) == said


def test_every_file_that_is_not_there_or_empty_is_named_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "key").write_text("AKIA\n")
    store = S3(
        endpoint="https://s3.example.com",
        bucket="gpu",
        access_key_file=f"{tmp_path}/key",
        secret_key_file=f"{tmp_path}/empty",
    )
    away = S3(
        endpoint="https://s3.example.net",
        bucket="gpu",
        access_key_file=f"{tmp_path}/absent",
        secret_key_file=f"{tmp_path}",
    )
    tls = Tls(mode="files", certificate=f"{tmp_path}/absent.pem", key=f"{tmp_path}/absent.key")
    tested = config(
        components=Components(rustfs=False), object_store=store, tls=tls, backup=Backup(offsite=away)
    )
    assert found(tested) == [
        ("object_store.secret_key_file", f"{tmp_path}/empty: nothing in it"),
        ("backup.offsite.access_key_file", f"{tmp_path}/absent: No such file or directory"),
        ("backup.offsite.secret_key_file", f"{tmp_path}: Is a directory"),
        ("tls.certificate", f"{tmp_path}/absent.pem: No such file or directory"),
        ("tls.key", f"{tmp_path}/absent.key: No such file or directory"),
    ]


def test_check_and_certificate_refuse_them_and_show_nothing_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = issue(AUTHORITY, [DOMAIN], utc_now(), YEAR)
    tested = with_files(tmp_path, pair.certificate, OTHER.key)
    file = tmp_path / "remotegpu.yaml"
    file.write_text(annotated.to_yaml(tested, "en"))
    for command in ("check", "certificate"):
        assert run(["site", command, "--config", str(file)]) == 2
        said = capsys.readouterr().err
        assert "tls.key: found no key of this certificate, expected its private key as PEM" in said
        assert OTHER.key.splitlines()[1] not in said
    (tmp_path / "site.key").write_text(pair.key)
    assert run(["site", "check", "--config", str(file)]) == 0
