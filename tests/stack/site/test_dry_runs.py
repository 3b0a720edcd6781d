"""What would be done is shown, and nothing is done."""

from pathlib import Path

import migration_files
from stack.site.bed import Site
from stack.site.variants import Variants

ALWAYS = {"bundle", "start", "candidate", "probe", "switch", "worker", "watch", "record"}


def state(site: Site) -> tuple[bytes, list[str], dict[str, object]]:
    """The journal, the containers, what serves."""
    return (site.directory / "journal.jsonl").read_bytes(), sorted(site.containers()), site.serving()


def test_a_deployment_is_shown_and_not_done(site: Site, at_first: str, next_version: str) -> None:
    assert at_first != next_version
    before = state(site)
    plan = site.do("deploy", next_version, "--dry-run", "--json").json
    assert ALWAYS | {"backup"} <= set(plan["steps"])
    assert {"docker", "compose", "user", "disk", "memory", "image", "configuration", "backup"} <= {
        finding["name"] for finding in plan["preflight"]
    }
    (schema,) = [finding for finding in plan["preflight"] if finding["name"] == "schema"]
    assert (schema["level"], schema["found"]) == ("ok", f"{migration_files.HEAD}, nothing is pending")
    assert "the release beside the old one" in site.do("deploy", next_version, "--dry-run").output
    assert state(site) == before


def test_a_rollback_is_shown_and_not_done(site: Site, at_first: str, next_version: str) -> None:
    site.bring(next_version)
    before = state(site)
    plan = site.do("rollback", "--dry-run", "--json").json
    assert set(plan["steps"]) >= ALWAYS
    assert "migrate-pre" not in plan["steps"]
    assert {finding["level"] for finding in plan["preflight"]} <= {"ok", "warning"}
    assert site.do("rollback", at_first, "--dry-run").code == 0
    refused = site.try_to("rollback", "v0.0.1", "--dry-run")
    assert refused.code == 1
    assert "found no release v0.0.1 on record" in refused.said
    assert state(site) == before


def test_a_release_that_takes_away_what_the_old_one_needs_says_so_before(
    site: Site, at_first: str, variants: Variants, tmp_path: Path
) -> None:
    folder = variants.inside("from remotegpu.server.migrations import chain; print(chain.VERSIONS)")
    name = f"{int(migration_files.HEAD[:4]) + 1:04}_post_gone"
    migration_files.write(tmp_path, name, "SELECT 1", contracts=True)
    script = {f"{name}.py": (tmp_path / f"{name}.py").read_text()}
    version = variants.with_backend(site.version(31), f"COPY {name}.py {folder}/", files=script)
    before = state(site)
    plan = site.do("deploy", version, "--dry-run", "--json").json
    (schema,) = [finding for finding in plan["preflight"] if finding["name"] == "schema"]
    assert (schema["level"], schema["found"]) == ("warning", f"{migration_files.HEAD}, then {name}")
    assert f"{name} takes away what {at_first} needs" in schema["remedy"]
    assert state(site) == before


def test_a_restore_is_looked_at_and_not_done(site: Site, at_first: str) -> None:
    assert at_first
    (dump,) = site.do("backup", "--kind=database", "--json").json["backups"]
    before = state(site), site.psql("SELECT string_agg(datname, ' ' ORDER BY 1) FROM pg_database")
    plan = site.do("restore", f"--backup={dump['id']}", "--dry-run", "--json").json
    assert plan["possible"]["rows"] == sum(table["rows"] for table in dump["database"]["tables"].values())
    assert len(plan["steps"]) == 6
    assert "stop everything that writes" in site.do("restore", "--at=newest", "--dry-run").output
    refused = site.try_to("restore", "--at=2001-01-01T00:00:00Z", "--dry-run")
    assert refused.code == 1
    assert "before the oldest moment that can be restored" in refused.said
    assert (state(site), site.psql("SELECT string_agg(datname, ' ' ORDER BY 1) FROM pg_database")) == before


def test_a_rotation_is_shown_and_not_done(site: Site, at_first: str) -> None:
    assert at_first
    secrets = site.config.parent / "secrets"
    before = state(site), {path.name: path.read_bytes() for path in secrets.iterdir() if path.is_file()}
    planned = site.do("secrets", "rotate", "all", "--dry-run", "--json").json["planned"]
    assert {"jwt_secret", "db_user", "redis_password", "backup_cipher_key"} <= set(planned["secrets"])
    assert planned["restarts"]
    assert not site.do("secrets", "rotate", "encryption-key", "--dry-run", "--json").json["planned"][
        "restarts"
    ]
    assert site.try_to("secrets", "rotate", "everything", "--dry-run").code == 1
    assert (
        state(site),
        {path.name: path.read_bytes() for path in secrets.iterdir() if path.is_file()},
    ) == before
