"""What is wrong with a value is said field by field, in plain words, without repeating secrets."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from remotegpu.kit import explain
from remotegpu.server.core import bodies
from remotegpu.server.core.errors import InvalidError, MalformedError, UnsupportedMediaTypeError
from remotegpu.server.core.patterns import AT_END


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Wheel(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, msgspec.Meta(ge=10, le=30)]
    maker: str = ""


class Bicycle(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[
        str, msgspec.Meta(max_length=5, pattern=rf"^[a-z]+{AT_END}", description="lower-case letters")
    ]
    wheels: list[Wheel] = []
    colour: Colour = Colour.RED
    kind: Literal["road", "city"] | None = None
    owner: uuid.UUID | None = None
    bought: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    password: str = ""
    labels: dict[Annotated[str, msgspec.Meta(pattern="^x")], int] = {}


def problems(**fields: Any) -> dict[str, tuple[str, str]]:
    found = explain.problems_of({"name": "abc", **fields}, Bicycle)
    return {problem.field: (problem.found, problem.expected) for problem in found}


@pytest.mark.parametrize(
    ("field", "value", "found", "expected"),
    [
        ("name", 7, "7", "text"),
        ("name", "toolong", "7 characters", "text of length <= 5"),
        ("name", "Ab", "Ab", "lower-case letters"),
        ("name", "ab\n", "ab\\u000a", "lower-case letters"),
        ("colour", "green", "green", "one of red, blue"),
        ("kind", "race", "race", "one of city, road or null"),
        ("owner", "me", "me", "a UUID"),
        (
            "bought",
            "2026-11-24T06:30:00",
            "2026-11-24T06:30:00",
            "a time with its zone, such as 2026-11-24T06:30:00Z",
        ),
        ("wheels", {}, "an object of 0", "a list"),
        ("wheels", None, "null", "a list"),
        ("labels", [1], "a list of 1", "an object"),
    ],
)
def test_each_kind_of_mistake(field: str, value: object, found: str, expected: str) -> None:
    assert problems(**{field: value}) == {field: (found, expected)}


def test_every_wrong_field_at_every_depth_is_named() -> None:
    found = problems(
        wheels=[{"size": 26}, {"size": 9}, {"maker": "x"}, {"size": 20, "spokes": 32}],
        colour=1,
        surprise=True,
    )
    assert set(found) == {"wheels[1].size", "wheels[2].size", "wheels[3].spokes", "colour", "surprise"}
    assert found["wheels[2].size"][0] == "nothing"
    assert found["wheels[3].spokes"] == ("an unknown field", "only size, maker")


def test_there_is_an_end_to_it() -> None:
    many = [{"size": 1}] * 1000
    assert len(problems(wheels=many)) == explain.MOST_PROBLEMS


@pytest.mark.parametrize("value", [["hunter2"], {"hunter2": 1}, 2, None])
def test_what_may_be_secret_is_not_repeated(value: object) -> None:
    (found, _), *_ = problems(password=value).values()
    assert "hunter2" not in found
    assert found != "2"


@pytest.mark.parametrize(
    ("value", "shown"), [("a" * 100, "a" * 60 + "…"), ("\u202eabc\x1b", "\\u202eabc\\u001b"), ([1], "[1]")]
)
def test_what_is_repeated_is_short_and_harmless(value: object, shown: str) -> None:
    assert explain.shown(value) == shown


def test_a_good_value_has_no_problems() -> None:
    assert problems(wheels=[{"size": 26}], kind="city", owner=str(uuid.uuid4())) == {}


def test_bodies_are_read_strictly() -> None:
    assert bodies.decode(b'{"size": 26}', Wheel) == Wheel(26)
    assert bodies.decode(b"null", Wheel | None) is None
    with pytest.raises(InvalidError) as refused:
        bodies.decode(b'{"size": "26"}', Wheel)
    assert refused.value.errors[0].found == '"26"'
    for unreadable in (b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(MalformedError):
            bodies.decode(unreadable, Wheel)


@pytest.mark.parametrize(
    "header",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/merge-patch+json",
    ],
)
def test_json_by_any_of_its_names(header: str) -> None:
    bodies.check_content_type(header)


@pytest.mark.parametrize(
    "header", ["", "text/plain", "application/jsonp", "multipart/form-data; x=application/json"]
)
def test_what_a_form_of_another_site_could_send_is_no_json(header: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        bodies.check_content_type(header)
