"""``python data_platform.py DATA_DIR PORT [MINIMUM_FREE_MIB]``: the real platform without our own programs.

Its supervisor, data directory, roles step and three data services are the product's; server, worker and agent are left
out, so that what is tested here is tested in a second. A plain web server stands where the server's port is.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from remotegpu.local import data_dir, plan, platform, program_plan
from remotegpu.local.errors import LocalError
from remotegpu.local.events import Event
from remotegpu.local.plan import ServiceSpec, Site
from remotegpu.local.probes import HttpProbe


def data_plan(site: Site, inherited: Mapping[str, str], **done: bool) -> list[ServiceSpec]:
    """The first half of the real plan, and a stand-in on the console's port."""
    full = {spec.name: spec for spec in program_plan.full_plan(site, inherited, **done)}
    console = ServiceSpec(
        name="console",
        argv=[sys.executable, "-m", "http.server", str(site.options.port), "--bind", "127.0.0.1"],
        environment=plan.base_environment(inherited, site.layout),
        directory=site.layout.agent,
        after=("postgres", "valkey", "s3"),
        probe=HttpProbe(site.options.port, "/"),
        port=site.options.port,
    )
    kept = [full[name] for name in ("postgres", "valkey", "s3", "roles") if name in full]
    return [*kept, console]


def report(event: Event) -> None:
    sys.stderr.write(f"{event.seconds:.2f} {event.service} {event.what}\n")
    sys.stderr.flush()


def main() -> int:
    platform.full_plan = data_plan
    if len(sys.argv) > 3:
        data_dir.check_free_space.__defaults__ = (int(sys.argv[3]) * 2**20,)
    try:
        platform.Platform(Path(sys.argv[1]), port=int(sys.argv[2])).run(report)
    except LocalError as error:
        sys.stderr.write(f"remotegpu: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
