"""Decoding a log that arrives in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotegpu.server.domains.tasks.following import decode


@pytest.mark.parametrize(
    ("body", "final", "expected"),
    [
        (b"", False, ("", 0)),
        (b"abc", False, ("abc", 3)),
        ("ö".encode()[:1], False, ("", 0)),
        ("ö".encode()[:1], True, ("\ufffd", 1)),
        (b"a" + "🚀".encode()[:3], False, ("a", 1)),
        (b"\xff\xfe", False, ("\ufffd\ufffd", 2)),
        ("🚀".encode()[2:] + b"b", False, ("\ufffd\ufffdb", 3)),
    ],
)
def test_cut_characters_wait_and_broken_ones_are_replaced(
    body: bytes, final: bool, expected: tuple[str, int]
) -> None:
    assert decode(body, final=final) == expected


@given(text=st.text(), cuts=st.lists(st.integers(1, 7), max_size=30))
def test_any_cutting_of_a_text_gives_the_text(text: str, cuts: list[int]) -> None:
    body = text.encode(errors="ignore")
    found, left, position = "", b"", 0
    for size in [*cuts, len(body)]:
        left += body[position : position + size]
        position += size
        piece, used = decode(left, final=False)
        found, left = found + piece, left[used:]
    assert left == b""
    assert found == body.decode()


@given(body=st.binary(max_size=200), cut=st.integers(0, 200))
def test_any_bytes_are_taken_whole_in_the_end(body: bytes, cut: int) -> None:
    first, used = decode(body[:cut], final=False)
    second, rest = decode(body[used:], final=True)
    assert used + rest == len(body)
    assert first + second == body.decode(errors="replace")
