"""A second start is a success only for the platform that runs already."""

from pathlib import Path

import pytest

from remotegpu.local.errors import AlreadyRunningError
from remotegpu.local.proc import Identity
from remotegpu.local.running import Asked, differences, require_same
from remotegpu.local.state import PlatformState, ServiceState

RUNNING = PlatformState(
    supervisor=Identity(77, 1, "boot"),
    version="0",
    url="http://127.0.0.1:8123",
    phase="up",
    admin_email="admin@remotegpu.local",
    simulated_gpus=2,
    isolation="directory",
    services=[ServiceState("server", "ready"), ServiceState("agent", "ready")],
)


@pytest.mark.parametrize(
    "asked",
    [Asked(), Asked(port=8123, agent=True, simulate_gpus=2, isolation="directory")],
    ids=["nothing", "the same"],
)
def test_nothing_named_or_the_same_named_is_no_difference(asked: Asked) -> None:
    assert differences(asked, RUNNING) == []


def test_every_named_option_that_differs_is_told_with_both_values() -> None:
    asked = Asked(port=9000, agent=False, simulate_gpus=0, isolation="linux")
    with pytest.raises(AlreadyRunningError) as caught:
        require_same(asked, RUNNING, Path("/data"))
    assert str(caught.value).splitlines()[:5] == [
        "The platform in /data runs already: pid 77, http://127.0.0.1:8123, with other options:",
        "  --port: runs with 8123, asked for 9000",
        "  --agent: runs with yes, asked for no",
        "  --simulate-gpus: runs with 2, asked for 0",
        "  --isolation: runs with directory, asked for linux",
    ]
    assert "remotegpu down" in str(caught.value)


def test_what_was_not_named_gets_the_defaults() -> None:
    assert (Asked().options.port, Asked().options.agent, Asked().options.simulate_gpus) == (8080, True, 0)
    assert Asked(port=9000, agent=False).options.port == 9000
    assert not Asked(agent=False).options.agent
