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
