"""What somebody who re-attaches is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotegpu.agent.access.hosts.scrollback import Scrollback


def _kept(*pieces: bytes, limit: int = 1000) -> Scrollback:
    scrollback = Scrollback(limit)
    for piece in pieces:
        scrollback.append(piece)
    return scrollback


def test_everything_is_shown_while_it_fits() -> None:
    assert _kept(b"one\r\n", b"two").replay() == b"one\r\ntwo"


@given(st.lists(st.binary(max_size=700), max_size=30))
def test_memory_is_bounded_and_the_end_is_always_there(pieces: list[bytes]) -> None:
    scrollback = _kept(*(piece.replace(b"\x1b", b"e") for piece in pieces))
    assert len(scrollback.replay()) <= 1000
    everything = b"".join(piece.replace(b"\x1b", b"e") for piece in pieces)
    assert everything.endswith(scrollback.replay())


def test_a_long_history_begins_at_a_line() -> None:
    lines = b"".join(b"line %05d\r\n" % number for number in range(500))
    replay = _kept(lines).replay()
    assert replay.startswith(b"line 0")
    assert replay.endswith(b"line 00499\r\n")


def test_a_long_history_without_lines_begins_at_a_whole_character() -> None:
    for shift in range(4):
        replay = _kept(b"x" * shift + "漢🙂".encode() * 400).replay()
        replay.decode()  # raises where a character is cut


@pytest.mark.parametrize(
    "question",
    [
        b"\x1b[c",
        b"\x1b[>c",
        b"\x1b[0c",
        b"\x1b[6n",
        b"\x1b[?6n",
        b"\x1b[?2026$p",
        b"\x1b[>q",
        b"\x1b[18t",
        b"\x1b]10;?\x07",
        b"\x1b]11;?\x1b\\",
        b"\x1b]4;1;?\x07",
        b"\x1bP+q544e\x1b\\",
        b"\x1bZ",
        b"\x1b[?u",
    ],
)
def test_questions_to_the_terminal_are_not_asked_again(question: bytes) -> None:
    assert _kept(b"before" + question + b"after").replay() == b"beforeafter"


@pytest.mark.parametrize(
    "kept",
    [
        b"\x1b[31mred\x1b[0m",
        b"\x1b[2J\x1b[H",
        b"\x1b]0;title\x07",
        b"\x1b[?25l",
        b"\x1b[5;10H",
        b"\x1b[22;0;0t",
    ],
)
def test_what_draws_is_kept(kept: bytes) -> None:
    assert _kept(kept).replay() == kept


def test_the_alternate_screen_is_known_even_when_its_switch_was_split() -> None:
    scrollback = _kept(b"$ vim\r\n\x1b[?10", b"49h")
    assert scrollback.alternate
    scrollback.append(b"text\x1b[?1049")
    scrollback.append(b"l$ ")
    assert not scrollback.alternate


def test_a_full_screen_program_is_replayed_on_its_screen_though_the_switch_was_long_ago() -> None:
    scrollback = _kept(b"\x1b[?1049h", *[b"redraw\r\n" * 50] * 20)
    assert scrollback.replay().startswith(b"\x1b[?1049h")
