"""The main job against a deployed site: through nginx, over TLS, with a GPU host in a container of its own."""

from stack.site import visitors
from stack.site.bed import Site
from stack.site.people import Account

JOURNEY_S = 120


def test_the_main_job_passes_through_the_front_door(
    site: Site, at_first: str, administrator: Account, gpu_host: str
) -> None:
    assert at_first
    assert gpu_host
    process = visitors.start(site, "journey", administrator.email)
    said, _ = process.communicate(f"{administrator.password}\n", timeout=JOURNEY_S)
    print(said)  # noqa: T201 - the steps, with their times
    assert process.returncode == 0, said
    served = site.compose("logs", "--no-log-prefix", "--since=2m", "nginx")
    downloads = [line for line in served.splitlines() if '"path":"/remotegpu-objects/' in line]
    assert any('"method":"GET"' in line and '"status":200' in line for line in downloads), served[-3000:]
    assert any('"method":"PUT"' in line and '"status":200' in line for line in downloads), served[-3000:]
