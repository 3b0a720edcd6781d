"""What would be done is shown, and nothing is done."""

from stack.site.bed import Site

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
