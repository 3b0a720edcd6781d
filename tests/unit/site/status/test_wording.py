"""Lengths of time and last words, as people read them."""

from datetime import timedelta

import pytest

from remotegpu.site.status.judging.wording import end_of, length


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=119), "119 s"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(hours=47, minutes=59), "47 hours"),
        (timedelta(days=2), "2 days"),
    ],
)
def test_a_length_has_one_unit_and_is_never_too_long(span: timedelta, said: str) -> None:
    assert length(span) == said


def test_last_words_begin_with_a_whole_one() -> None:
    assert end_of("a\n b") == "a b"
    assert end_of("connection to server was refused", 12) == "… was refused"
