"""Long texts go out in parts that a robot takes, and no character is torn."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remotegpu.kit.channels.splitting import split

FAMILY = "👨‍👩‍👧‍👦"
TEXTS = st.text(alphabet=st.sampled_from("备份失败a b\n👍🏽é\u0301\u200d👩"), max_size=400)


@given(TEXTS, st.integers(min_value=40, max_value=200))
def test_every_part_fits_and_nothing_but_line_ends_is_lost(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert all(len(part.encode()) <= limit for part in parts)
    assert "".join(parts).replace("\n", "") == text.replace("\n", "")


def test_chinese_text_is_cut_between_characters() -> None:
    parts = split("备" * 4000, 4096)
    assert [len(part.encode()) for part in parts] == [4095, 4095, 3810]
    assert "".join(parts) == "备" * 4000


@pytest.mark.parametrize("character", [FAMILY, "👍🏽", "e\u0301", "✈\ufe0f"])
def test_what_is_written_as_several_code_points_stays_whole(character: str) -> None:
    for offset in range(30):
        text = "x" * offset + character * 60
        parts = split(text, 64)
        assert len(parts) > 1
        for part in parts[1:]:
            assert part.startswith(character)
            assert unicodedata.category(part[0]) != "Mn"


def test_a_line_or_a_word_ends_a_part_where_there_is_one() -> None:
    assert split("first line\nsecond line\nthird", 24) == ["first line\nsecond line", "third"]
    assert split("words that do not fit", 12) == ["words that ", "do not fit"]


def test_a_character_without_end_is_cut_all_the_same() -> None:
    parts = split("a" + "\u0301" * 100, 50)
    assert all(len(part.encode()) <= 50 for part in parts)


def test_a_limit_below_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 4"):
        split("x", 3)
