"""The plan's second half: our own programs on top of the three data services. Pure."""

from collections.abc import Mapping

from remotegpu.local.plan import (
    Options,
    ServiceSpec,
    Site,
    base_environment,
    data_services,
    program,
    server_environment,
    step_program,
)
from remotegpu.local.probes import HttpProbe


def full_plan(
    site: Site,
    inherited: Mapping[str, str],
    *,
    roles_exist: bool,
    admin_exists: bool,
    enrolled: bool,
) -> list[ServiceSpec]:
    """Everything, in order. Steps that already left their mark are left out: a warm start runs only what serves."""
    base = base_environment(inherited, site.layout)
    server = {**base, **server_environment(site.secrets, site.ports, site.options)}
    plan = data_services(site, inherited)
    if not roles_exist:
        plan.append(_step(site, base, "roles", after=("postgres",)))
    plan.append(_migrate(site, server, after=("postgres",) if roles_exist else ("roles",)))
    plan.append(_server(site, server))
    plan.append(_worker(site, server))
    if not admin_exists:
        plan.append(_step(site, server, "bootstrap", after=("server",)))
    elif site.layout.admin_password.exists():
        plan.append(_step(site, base, "credentials", after=("server",), optional=True))
    if site.options.agent:
        after = "server" if admin_exists else "bootstrap"
        plan += _agent_plan(site, base, after=after, enrolled=enrolled)
    return plan


def _step(
    site: Site, environment: dict[str, str], name: str, *, after: tuple[str, ...], optional: bool = False
) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        argv=step_program(site, name),
        environment=environment,
        directory=site.layout.root,
        after=after,
        step=True,
        optional=optional,
        start_timeout_s=60,
    )


def _migrate(site: Site, environment: dict[str, str], *, after: tuple[str, ...]) -> ServiceSpec:
    return ServiceSpec(
        name="migrate",
        argv=program(site.options, "server", "migrate"),
        environment=environment,
        directory=site.layout.root,
        after=after,
        step=True,
        start_timeout_s=600,  # a large table may be rewritten
    )


def _server(site: Site, environment: dict[str, str]) -> ServiceSpec:
    return ServiceSpec(
        name="server",
        argv=program(site.options, "server", "run"),
        environment=environment,
        directory=site.layout.root,
        after=("migrate", "valkey", "s3"),
        probe=HttpProbe(site.options.port, "/health/ready", timeout_s=3),
        port=site.options.port,
        stop_timeout_s=15,
        start_timeout_s=60,
    )


def _worker(site: Site, environment: dict[str, str]) -> ServiceSpec:
    return ServiceSpec(
        name="worker",
        argv=program(site.options, "server", "worker"),
        environment=environment,
        directory=site.layout.root,
        after=("migrate", "valkey", "s3"),
        stop_timeout_s=15,
    )


def _agent_plan(site: Site, base: Mapping[str, str], *, after: str, enrolled: bool) -> list[ServiceSpec]:
    """Enrolment when needed, then the agent, which reads the environment file that enrolment writes."""
    environment = {**base, **agent_environment(site)}
    agent = ServiceSpec(
        name="agent",
        argv=step_program(site, "agent"),
        environment=environment,
        directory=site.layout.agent,
        after=(after,) if enrolled else ("enrol",),
        owns_group=False,
        stop_timeout_s=15,
    )
    return [agent] if enrolled else [_step(site, environment, "enrol", after=(after,)), agent]


def agent_environment(site: Site) -> dict[str, str]:
    """The agent's settings, without its token. The URL is this run's: the port may have changed since enrolment."""
    settings = {
        "REMOTEGPU_SERVER_URL": site.options.url,
        "REMOTEGPU_LOG_LEVEL": site.options.log_level,
        "REMOTEGPU_DATA_DIR": str(site.layout.agent),
        "REMOTEGPU_PYTHON": site.task_python,
        "REMOTEGPU_SIMULATE_GPUS": str(site.options.simulate_gpus),
    }
    if site.options.isolation:
        settings["REMOTEGPU_ISOLATION"] = site.options.isolation
    return settings


def default_isolation(options: Options, *, root: bool) -> str | None:
    """An ordinary user cannot make accounts: say so to the agent by name. root leaves it to the agent."""
    return options.isolation or (None if root else "directory")
