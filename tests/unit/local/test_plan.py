"""The plan: order, isolation of settings, and no secret where another local user could read it."""

import sys
from pathlib import Path

import pytest

from remotegpu.local import objects, plan, program_plan, secret_files
from remotegpu.local.binaries import Binaries
from remotegpu.local.layout import Layout
from remotegpu.local.plan import Options, ServiceSpec, Site
from remotegpu.local.ports import INTERNAL_PORTS


@pytest.fixture
def site(tmp_path: Path) -> Site:
    layout = Layout(tmp_path)
    ports = {name: 11_000 + number for number, name in enumerate((*INTERNAL_PORTS, "object_admin_grpc"))}
    return Site(
        layout=layout,
        secrets=secret_files.ensure(layout.secrets, database_exists=False),
        ports=ports,
        binaries=Binaries(Path("/pg"), Path("/valkey-server"), Path("/weed")),
        postgres_bin=Path("/pg/bin"),
        account=None,
        options=Options(port=8123, simulate_gpus=2, isolation="directory"),
    )


def _plan(site: Site, *, done: bool, inherited: dict[str, str] | None = None) -> dict[str, ServiceSpec]:
    specs = program_plan.full_plan(site, inherited or {}, roles_exist=done, admin_exists=done, enrolled=done)
    return {spec.name: spec for spec in specs}


def test_first_start_makes_roles_admin_and_enrolment_in_order(site: Site) -> None:
    specs = _plan(site, done=False)
    assert [name for name in specs if specs[name].step] == ["roles", "migrate", "bootstrap", "enrol"]
    assert specs["migrate"].after == ("roles",)
    assert specs["bootstrap"].after == ("server",)
    assert specs["agent"].after == ("enrol",)


def test_warm_start_runs_only_what_serves(site: Site) -> None:
    specs = _plan(site, done=True)
    assert set(specs) == {"postgres", "valkey", "s3", "migrate", "server", "worker", "agent"}
    assert specs["agent"].after == ("server",)


def test_the_names_that_logs_takes_are_the_plan_s(site: Site) -> None:
    site.layout.admin_password.write_text("kept")
    specs = [*_plan(site, done=False).values(), *_plan(site, done=True).values()]
    assert {spec.name for spec in specs if not spec.step} == set(plan.SERVICES)
    assert {spec.name for spec in specs if spec.step} == set(plan.STEPS)


def test_data_services_wait_for_nobody(site: Site) -> None:
    specs = _plan(site, done=True)
    assert all(specs[name].after == () for name in ("postgres", "valkey", "s3"))


def test_the_kept_password_is_checked_without_holding_up_the_start(site: Site) -> None:
    site.layout.admin_password.write_text("kept")
    specs = _plan(site, done=True)
    assert specs["credentials"].optional


def test_without_agent_nothing_is_enrolled(site: Site) -> None:
    bare = Site(**{**vars(site), "options": Options(agent=False)})
    assert {"enrol", "agent"}.isdisjoint(_plan(bare, done=False))


def test_no_secret_in_arguments_or_environment(site: Site) -> None:
    values = [site.secrets.value(name) for name in secret_files.NAMES]
    for spec in _plan(site, done=False).values():
        shown = "\n".join([*spec.argv, *spec.environment.values()])
        assert not [value for value in values if value in shown], spec.name


def test_the_callers_settings_do_not_reach_the_platform(site: Site) -> None:
    inherited = {
        "DB_HOST": "production",
        "PGHOST": "production",
        "REMOTEGPU_AGENT_TOKEN": "foreign",
        "JWT_SECRET": "foreign",
        "PUBLIC_URL": "https://elsewhere",
        "PATH": "/usr/bin",
        "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
    }
    for spec in _plan(site, done=True, inherited=inherited).values():
        assert not {"production", "foreign", "https://elsewhere"} & set(spec.environment.values()), spec.name
        assert spec.environment["PATH"] == "/usr/bin"
        assert spec.environment["LD_LIBRARY_PATH"] == "/usr/local/cuda/lib64"


def test_the_agents_tasks_outlive_it(site: Site) -> None:
    specs = _plan(site, done=True)
    assert [name for name, spec in specs.items() if not spec.owns_group] == ["agent"]


def test_our_programs_run_with_this_interpreter(site: Site) -> None:
    specs = _plan(site, done=False)
    ours = [spec for name, spec in specs.items() if name not in {"postgres", "valkey", "s3"}]
    assert {spec.argv[0] for spec in ours} == {sys.executable}


def test_an_ordinary_user_gets_directory_isolation_unless_told_otherwise() -> None:
    assert program_plan.default_isolation(Options(), root=False) == "directory"
    assert program_plan.default_isolation(Options(), root=True) is None
    assert program_plan.default_isolation(Options(isolation="linux"), root=False) == "linux"


def test_every_child_carries_the_mark_of_its_data_directory(site: Site) -> None:
    for spec in _plan(site, done=False).values():
        assert spec.environment[plan.SERVICE_MARK] == str(site.layout.root)


def test_s3_listens_on_chosen_ports_only(site: Site) -> None:
    text = objects.options(site.object_files, site.ports, admin_password="x")
    chosen = {line.split("=")[1] for line in text.splitlines() if ".port" in line and not line.endswith("=0")}
    expected = {str(port) for name, port in site.ports.items() if name not in {"postgres", "valkey"}}
    assert chosen == expected
