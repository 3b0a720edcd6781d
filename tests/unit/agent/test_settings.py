"""Settings are checked whole, and a secret is never shown."""

from pathlib import Path

import pytest

from remotegpu.agent.settings import load
from remotegpu.kit.environment import SettingsError

GOOD = {
    "REMOTEGPU_SERVER_URL": "https://gpu.example.com/",
    "REMOTEGPU_AGENT_TOKEN": "rgn_secret",
    "REMOTEGPU_DATA_DIR": "/var/lib/x",
}


def problems(environ: dict[str, str], *, is_root: bool = True) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load(environ, is_root=is_root)
    return {problem.partition(":")[0]: problem for problem in caught.value.problems}


def test_good_settings_and_defaults() -> None:
    found = load(GOOD, is_root=True)
    assert found.server_url == "https://gpu.example.com"
    assert (found.isolation, found.log_level, found.simulate_gpus) == ("linux", "info", 0)
    assert "rgn_secret" not in repr(found)


def test_every_problem_is_named_at_once() -> None:
    found = problems(
        {
            "REMOTEGPU_SERVER_URL": "ftp://x",
            "REMOTEGPU_LOG_LEVEL": "loud",
            "REMOTEGPU_DATA_DIR": "relative",
            "REMOTEGPU_SIMULATE_GPUS": "-1",
            "REMOTEGPU_ISOLATION": "container",
        }
    )
    assert set(found) == {
        "REMOTEGPU_SERVER_URL",
        "REMOTEGPU_AGENT_TOKEN",
        "REMOTEGPU_LOG_LEVEL",
        "REMOTEGPU_DATA_DIR",
        "REMOTEGPU_SIMULATE_GPUS",
        "REMOTEGPU_ISOLATION",
    }
    assert all("found " in line and "expected " in line for line in found.values())


@pytest.mark.parametrize(
    "url", ["", "gpu.example.com", "https://", "http://x:99999", "https://u:p@x", "https://x?a=b"]
)
def test_unusable_server_urls(url: str) -> None:
    assert "REMOTEGPU_SERVER_URL" in problems(GOOD | {"REMOTEGPU_SERVER_URL": url})


def test_isolation_without_root_must_be_asked_for() -> None:
    assert "--isolation directory" in problems(GOOD, is_root=False)["REMOTEGPU_ISOLATION"]
    assert load(GOOD | {"REMOTEGPU_ISOLATION": "directory"}, is_root=False).isolation == "directory"


def test_token_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("rgn_from_file\n")
    environ = GOOD | {"REMOTEGPU_AGENT_TOKEN": "", "REMOTEGPU_AGENT_TOKEN_FILE": str(file)}
    assert load(environ, is_root=True).agent_token == "rgn_from_file"
    file.write_text("")
    assert "empty" in problems(environ)["REMOTEGPU_AGENT_TOKEN_FILE"]
    file.unlink()
    assert "No such file" in problems(environ)["REMOTEGPU_AGENT_TOKEN_FILE"]


def test_token_given_twice_or_with_blanks_is_refused_without_being_shown() -> None:
    twice = problems(GOOD | {"REMOTEGPU_AGENT_TOKEN_FILE": "/x"})
    blanks = problems(GOOD | {"REMOTEGPU_AGENT_TOKEN": "rgn_secret and more"})
    for found in (twice, blanks):
        assert "rgn_secret" not in found["REMOTEGPU_AGENT_TOKEN"]
