"""A release comes and goes while people work: no request fails, and an open terminal stays open."""

from stack.site import people, visitors
from stack.site.bed import Site
from stack.site.people import Session, Tenant

PER_SECOND = 220
REQUESTS = 5000


def test_nobody_notices_a_deploy_and_a_rollback(
    site: Site, at_first: str, next_version: str, admin: Session, tenant: Tenant
) -> None:
    member = people.sign_in(site, tenant.account)
    with (
        visitors.shell(site, member, tenant.machine) as shell,
        visitors.load(site, admin, PER_SECOND) as load,
    ):
        assert shell.run("echo $((6*7))") == "42"
        site.do("deploy", next_version, "--why=under load")
        assert site.serving()["version"] == next_version
        assert shell.run("echo $((6*8))") == "48"
        site.do("rollback", "--why=under load")
        assert site.serving()["version"] == at_first
        assert shell.run("echo $((6*9))") == "54"
        report = load.stop()
    visitors.require_no_failure(report, REQUESTS)
    assert report["per_second"] >= 200
