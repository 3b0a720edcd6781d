"""What a customer's process sees."""

from pathlib import Path

import pytest

from remotegpu.agent.access.environment import (
    environment,
    login_shell,
    supplementary_groups,
    terminal_command,
)
from remotegpu.agent.accounts import AccountIdentity

ROOM = AccountIdentity(name="acme", uid=None, gid=None, home=Path("/srv/acme"))
USER = AccountIdentity(name="nobody", uid=65534, gid=65534, home=Path("/home/nobody"))


def test_it_says_who_where_and_in_which_encoding() -> None:
    env = environment(ROOM, term=None, asked={})
    assert env["HOME"] == "/srv/acme"
    assert (env["USER"], env["LOGNAME"], env["REMOTEGPU_ACCOUNT"]) == ("acme", "acme", "acme")
    assert env["LANG"] == "C.UTF-8"
    assert env["SHELL"] == login_shell()
    assert "TERM" not in env


@pytest.mark.parametrize(
    ("asked", "passes"),
    [
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LC_TIME": "zh_CN.UTF-8"}, True),
        ({"COLORTERM": "truecolor"}, True),
        ({"LD_PRELOAD": "/tmp/evil.so"}, False),
        ({"PATH": "/tmp"}, False),
        ({"HOME": "/root"}, False),
        ({"BASH_ENV": "/tmp/x"}, False),
        ({"LC_ALL": "../../x"}, False),
        ({"LANG": "() { :; }"}, False),
        ({"REMOTEGPU_ACCOUNT": "other"}, False),
    ],
)
def test_of_what_a_client_sends_only_language_passes(asked: dict[str, str], passes: bool) -> None:
    env = environment(ROOM, term=None, asked=asked)
    assert (asked.items() <= env.items()) is passes


@pytest.mark.parametrize(
    ("term", "is_set_to"), [("xterm", "xterm"), ("../../x", "xterm-256color"), ("", "xterm-256color")]
)
def test_a_terminal_type_is_a_name(term: str, is_set_to: str) -> None:
    assert environment(ROOM, term=term, asked={})["TERM"] == is_set_to


def test_the_agents_path_is_used_only_where_the_agent_and_the_customer_are_one_user() -> None:
    assert environment(ROOM, term=None, asked={}, agent_path="/venv/bin:/bin")["PATH"] == "/venv/bin:/bin"
    assert "/venv/bin" not in environment(USER, term=None, asked={}, agent_path="/venv/bin:/bin")["PATH"]


def test_a_shell_is_a_login_shell_and_a_command_is_not() -> None:
    shell = terminal_command({}, None)
    assert shell["argv"][0].startswith("-")
    command = terminal_command({}, "nvidia-smi; exit 3")
    assert command["argv"][1:] == ["-c", "nvidia-smi; exit 3"]


def test_groups_come_from_the_group_database() -> None:
    assert supplementary_groups(ROOM) == []
    assert 65534 in supplementary_groups(USER)
