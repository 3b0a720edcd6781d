"""Frames between agent and shell host: whatever way the bytes are cut, the same arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotegpu.agent.access.hosts import frames
from remotegpu.agent.access.hosts.frames import FrameError, FrameReader, OutputReader, frame

_KINDS = st.sampled_from([frames.HELLO, frames.OUTPUT, frames.TAKEN, frames.EXIT])
_MESSAGES = st.lists(st.tuples(_KINDS, st.binary(max_size=40)), max_size=20)


def _cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(_MESSAGES, st.lists(st.integers(1, 50), max_size=60))
def test_frames_survive_any_cut(messages: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
    reader = FrameReader()
    stream = b"".join(frame(kind, payload) for kind, payload in messages)
    got = [message for piece in _cut(stream, sizes) for message in reader.feed(piece)]
    assert got == messages


@given(_MESSAGES, st.lists(st.integers(1, 50), max_size=60))
def test_output_is_handed_on_piecewise_in_order(
    messages: list[tuple[bytes, bytes]], sizes: list[int]
) -> None:
    got: list[tuple[bytes, bytes]] = []

    def on_output(data: bytes) -> None:
        if got and got[-1][0] == frames.OUTPUT:
            got[-1] = (frames.OUTPUT, got[-1][1] + data)
        else:
            got.append((frames.OUTPUT, data))

    reader = OutputReader(on_output, lambda kind, payload: got.append((kind, payload)))
    for piece in _cut(b"".join(frame(kind, payload) for kind, payload in messages), sizes):
        reader.feed(piece)
    assert got == _joined(messages)


def _joined(messages: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Neighbouring output is one stream; empty output is nothing."""
    joined: list[tuple[bytes, bytes]] = []
    for kind, payload in messages:
        if kind == frames.OUTPUT and not payload:
            continue
        if kind == frames.OUTPUT and joined and joined[-1][0] == frames.OUTPUT:
            joined[-1] = (kind, joined[-1][1] + payload)
        else:
            joined.append((kind, payload))
    return joined


def test_an_impossible_length_is_an_error_not_a_buffer_that_grows() -> None:
    huge = frames.HEADER.pack(frames.EXIT, 2**31)
    with pytest.raises(FrameError, match=str(2**31)):
        list(FrameReader().feed(huge))
    with pytest.raises(FrameError, match=str(2**31)):
        OutputReader(print, print).feed(huge)
