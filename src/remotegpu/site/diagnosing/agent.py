"""Handbook: the agent of a GPU host is offline (section 7.5.2 of the deployment plan, mended).

The site cannot reach the host, so these steps ask the platform; what to run on the host itself is listed.
"""

from collections.abc import Iterator

from remotegpu.site.bundle import topology
from remotegpu.site.diagnosing import agent_judging, asking, psql
from remotegpu.site.diagnosing.asking import Site
from remotegpu.site.diagnosing.steps import Judge, Step

OTHERWISE = (
    "Run the commands below on the host. Restarting the agent (systemctl restart remotegpu-agent) ends no task of a "
    "customer; before a reboot, set the machine to maintenance in the console."
)
SINCE = "1h"
LOG_LINES = 20_000


def steps(site: Site, node: str) -> Iterator[Step]:
    """``node``: name or id; it reaches the database as a variable only."""
    yield asking.engine()
    yield asking.database(site)
    yield asking.backend_ready(site)
    yield from _about(site, node)
    yield _requests(site)
    yield asking.last_change(site)


def otherwise(_site: Site) -> str:
    return OTHERWISE


def on_the_host(site: Site) -> tuple[str, ...]:
    """In this order: the way to the site, the service, its words, its own view, the GPUs, the clock, the disk."""
    return (
        f"curl -sS {topology.public_url(site.place.config)}/health/ready",
        "systemctl status remotegpu-agent --no-pager",
        "journalctl -u remotegpu-agent -n 100 --no-pager",
        "remotegpu-agent status",
        "nvidia-smi",
        "journalctl -k -n 200 --no-pager --grep 'NVRM|Xid'",
        "timedatectl status",
        "df -h",
    )


def _about(site: Site, node: str) -> Iterator[Step]:
    questions: tuple[tuple[str, str, str, Judge], ...] = (
        (agent_judging.MACHINE, "What is known of the machine?", psql.MACHINE, agent_judging.machine(node)),
        ("other machines", "Is it alone in its trouble?", psql.MACHINES, agent_judging.others),
        ("token", "Is its token still valid?", psql.TOKENS, agent_judging.tokens),
        ("open work", "What waits for it?", psql.OPEN_WORK, agent_judging.open_work),
    )
    for name, question, query, judge in questions:
        command = psql.ask(site.compose, query, {"node": node})
        yield Step(name=name, question=question, command=command, judge=judge)


def _requests(site: Site) -> Step:
    return Step(
        name="requests",
        question="What did nginx see of it within the last hour?",
        command=site.compose.logs("nginx", lines=LOG_LINES, since=SINCE),
        judge=agent_judging.requests,
        keep=agent_judging.own_lines,
    )
