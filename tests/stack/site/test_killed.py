"""The command that deploys is killed, at every step: the site serves all the while, and the next command goes on."""

import signal
import sys

import pytest

from stack.site import visitors
from stack.site.bed import Done, Site
from stack.site.people import Session

PER_SECOND = 40


def kill_at(site: Site, what: str, step: str, state: str, *command: str) -> Done:
    """Run ``command`` until the journal has that word."""
    prefix = [sys.executable, "-m", "stack.site.killed", what, step, state]
    done = site.finish(site.start([*prefix, "site", *command, f"--config={site.config}"]))
    assert done.code == -signal.SIGKILL, f"{step} {state}: ended with {done.code}:\n{done.said}"
    assert site.door.answers(), f"killed at {step} {state}"
    return done


def runs(site: Site) -> set[str]:
    return {entry.run for entry in site.journal()}


@pytest.mark.timeout(600)
def test_one_deployment_killed_at_every_step_comes_into_service(
    site: Site, at_first: str, next_version: str, admin: Session
) -> None:
    before, rows, earlier = site.releases(), site.counts(), runs(site)
    steps = site.do("deploy", next_version, "--dry-run", "--json").json["steps"]
    words = [(step, state) for step in steps for state in ("begun", "done")]
    assert len(steps) > 12
    with visitors.load(site, admin, PER_SECOND) as load:
        kill_at(site, "deploy", "plan", "done", "deploy", next_version)
        for step, state in words:
            done = kill_at(site, "deploy", step, state, "deploy", next_version)
            print(f"killed at {step} {state}: {done.seconds:.1f} s")  # noqa: T201 - what each took
        site.do("deploy", next_version)
        report = load.stop()
    visitors.require_no_failure(report, PER_SECOND)
    assert site.serving()["version"] == next_version
    assert len(site.releases()) == len(before) + 1
    assert len(runs(site) - earlier) == 1
    assert site.counts() == rows
    assert at_first != next_version
    assert site.do("status", "--json").json["ok"]


@pytest.mark.parametrize(("step", "state"), [("switch", "done"), ("worker", "begun"), ("watch", "done")])
def test_a_deployment_that_was_killed_is_taken_back(  # noqa: PLR0917 - fixtures
    site: Site, at_first: str, next_version: str, admin: Session, step: str, state: str
) -> None:
    before, rows = site.releases(), site.counts()
    with visitors.load(site, admin, PER_SECOND) as load:
        kill_at(site, "deploy", step, state, "deploy", next_version, "--no-backup")
        said = site.do("rollback").said
        report = load.stop()
    assert f"{at_first} serves" in said
    visitors.require_no_failure(report, PER_SECOND)
    assert site.releases() == before
    assert site.counts() == rows


def test_one_that_was_killed_while_it_was_taken_back_begins_anew(
    site: Site, at_first: str, next_version: str, admin: Session
) -> None:
    """What its journal calls done was undone: going on from there would end in a slot that is empty."""
    before = site.releases()
    with visitors.load(site, admin, PER_SECOND) as load:
        kill_at(site, "deploy", "switch", "done", "deploy", next_version, "--no-backup")
        kill_at(site, "deploy", "undo", "done", "rollback")
        said = site.do("deploy", next_version, "--no-backup").said
        report = load.stop()
    assert f"{at_first} serves" in said
    visitors.require_no_failure(report, PER_SECOND)
    assert site.serving()["version"] == next_version
    assert len(site.releases()) == len(before) + 1
