"""Releases that fail, each in its own way: the old one serves on, nobody notices, and the command says why."""

import re
from pathlib import Path

import pytest

import migration_files
from stack.site import visitors
from stack.site.bed import Done, Site
from stack.site.people import Session
from stack.site.variants import Variants

PER_SECOND = 60
NUMBER = int(migration_files.HEAD[:4]) + 1


@pytest.fixture
def health_file(variants: Variants) -> str:
    return variants.inside("from remotegpu.server import health; print(health.__file__)")


@pytest.fixture
def versions_folder(variants: Variants) -> str:
    return variants.inside("from remotegpu.server.migrations import chain; print(chain.VERSIONS)")


def deploy_in_vain(site: Site, admin: Session, version: str, *options: str) -> Done:
    """Fails; nothing of that shows outside, nor in the data, nor in the record."""
    before, rows = site.releases(), site.counts()
    with visitors.load(site, admin, PER_SECOND) as load:
        done = site.try_to("deploy", version, *options)
        report = load.stop()
    print(f"site deploy {version}: {done.seconds:.1f} s\n{done.said}")  # noqa: T201 - what an operator reads
    assert done.code == 1, done.said
    visitors.require_no_failure(report, PER_SECOND)
    assert site.releases() == before
    assert site.counts() == rows
    status = site.do("status", "--json").json
    assert status["ok"], status
    return done


def changed(file: str, *expressions: str) -> list[str]:
    """Lines of a Dockerfile."""
    edits = " ".join(f"-e '{expression}'" for expression in expressions)
    return ["USER 0", f"RUN sed -i {edits} {file}", "USER 10100:10100"]


def test_one_that_never_becomes_healthy(
    site: Site, at_first: str, admin: Session, variants: Variants, health_file: str
) -> None:
    lines = changed(health_file, "s/    is_ready = all(.*/    is_ready = False/")
    version = variants.with_backend(site.version(11), *lines)
    with site.configured(release={"start_seconds": 12}):
        done = deploy_in_vain(site, admin, version)
    assert f"{at_first} serves" in done.said
    assert re.search(r"The end of backend-(green|blue)'s log:\n.*/health/ready.*503", done.said)
    assert re.search(r"not healthy after 12s|backend-(green|blue) is (starting|unhealthy)", done.said)


def test_one_that_falls_over_after_the_switch(
    site: Site, at_first: str, admin: Session, variants: Variants, health_file: str
) -> None:
    """Only the front door asks for /health: neither the container's own check nor the look before the switch."""
    fall = '    __import__("os").write(2, b"fell over at work\\\\n"); __import__("os")._exit(7)'
    lines = changed(health_file, f"s/^    return Health(/{fall}\\n&/")
    version = variants.with_backend(site.version(12), *lines)
    done = deploy_in_vain(site, admin, version, "--no-backup")
    assert "fell over at work" in done.said
    assert f"{at_first} serves" in done.said


@pytest.mark.parametrize("phase", ["pre", "post"])
def test_one_whose_migration_fails(  # noqa: PLR0917 - fixtures
    site: Site,
    at_first: str,
    admin: Session,
    variants: Variants,
    versions_folder: str,
    phase: str,
    tmp_path: Path,
) -> None:
    name = f"{NUMBER:04}_{phase}_broken"
    fails = "SELECT no_such_function()"
    if phase == "post":
        migration_files.write(tmp_path, name, fails, contracts=False)
    else:
        migration_files.write(tmp_path, name, fails)
    script = {f"{name}.py": (tmp_path / f"{name}.py").read_text()}
    version = site.version(13 if phase == "pre" else 14)
    variants.with_backend(version, f"COPY {name}.py {versions_folder}/", files=script)
    done = deploy_in_vain(site, admin, version, "--no-backup")
    assert "no_such_function" in done.said
    assert "The end of" not in done.said, "the logs of services have nothing to do with it"
    assert not re.search(r"Container .* (Creating|Created|Running)", done.said)
    assert f"{at_first} serves" in done.said
    assert site.psql("SELECT max(version_num) FROM alembic_version") == migration_files.HEAD
