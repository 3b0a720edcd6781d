"""What a deployment decides from what it is given."""

import json

from remotegpu.site.deploying.decisions import Traffic, traffic

NEW, OLD = "172.30.1.12:8080", "172.30.1.11:8080"


def line(upstream: str, upstream_status: str, status: int = 200) -> str:
    return json.dumps({"upstream": upstream, "upstream_status": upstream_status, "status": status})


def test_traffic_counts_what_a_release_answered_itself() -> None:
    lines = [line(NEW, "200"), line(NEW, "502", 502), line(NEW, "404", 404), line(OLD, "500", 500)]
    assert traffic(lines, NEW) == Traffic(requests=3, failed=1)


def test_a_request_that_another_answered_in_its_stead_counts_as_failed() -> None:
    assert traffic([line(f"{NEW}, {OLD}", "502, 200")], NEW) == Traffic(requests=1, failed=1)


def test_lines_that_say_nothing_of_an_upstream_are_passed_over() -> None:
    lines = ["2026/11/24 nginx: notice", "{}", line("-", "-"), line("", ""), json.dumps(["no object"])]
    assert traffic(lines, NEW) == Traffic(requests=0, failed=0)


def test_few_requests_say_nothing() -> None:
    assert not Traffic(requests=19, failed=19).is_bad(5.0)
    assert Traffic(requests=20, failed=2).is_bad(5.0)
    assert not Traffic(requests=20, failed=1).is_bad(5.0)
