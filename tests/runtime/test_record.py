"""Tables to dataclasses and back."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from aquatint.runtime.errors import BadProfile
from aquatint.runtime.record import from_table, to_table


@dataclass(frozen=True)
class Inner:
    low: int
    high: int = 9

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, over {self.high}")


@dataclass(frozen=True)
class Outer:
    word: str
    number: float = 0.5
    count: int = 1
    switch: bool = False
    mode: Literal["batch", "split"] = "batch"
    inner: Inner | None = None
    dims: tuple[int | str, ...] = ()
    pair: tuple[int, str] = (0, "")
    table: dict[str, Inner] = field(default_factory=dict)
    anything: Any = None


FULL = {
    "word": "w", "number": 2.5, "count": 3, "switch": True, "mode": "split", "inner": {"low": 1, "high": 2},
    "dims": [4, "height/8"], "pair": [7, "x"], "table": {"a": {"low": 0, "high": 9}}, "anything": {"deep": [1, None]},
}  # fmt: skip


def read(table):
    return from_table(Outer, table, "profile p", BadProfile)


def test_every_kind_of_field_is_read():
    assert read(FULL) == Outer(
        "w", 2.5, 3, True, "split", Inner(1, 2), (4, "height/8"), (7, "x"), {"a": Inner(0, 9)}, {"deep": [1, None]}
    )


def test_to_table_is_the_inverse_even_through_json():
    assert to_table(read(FULL)) == FULL
    assert read(json.loads(json.dumps(to_table(read(FULL))))) == read(FULL)


def test_absent_keys_take_their_defaults():
    assert read({"word": "w"}) == Outer("w")


def test_a_whole_number_does_for_a_float():
    number = read({"word": "w", "number": 2}).number
    assert number == 2.0
    assert isinstance(number, float)


def test_an_unknown_key_lists_the_known_ones():
    with pytest.raises(
        BadProfile,
        match=r"^profile p has no key wrod; known keys: anything, count, dims, inner, mode, number, pair, switch, "
        "table, word$",
    ):
        read({"word": "w", "wrod": "w"})


def test_an_unknown_key_of_a_nested_table_names_the_path():
    with pytest.raises(BadProfile, match=r"^profile p: table\.a has no key hihg; known keys: high, low$"):
        read({"word": "w", "table": {"a": {"low": 1, "hihg": 2}}})


def test_a_missing_key_is_named():
    with pytest.raises(BadProfile, match=r"^profile p lacks the key word$"):
        read({})


def test_a_classs_own_check_becomes_the_callers_error_with_the_path():
    with pytest.raises(BadProfile, match=r"^profile p: inner: low is 5, over 2$"):
        read({"word": "w", "inner": {"low": 5, "high": 2}})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"word": 3}, "word is 3, expected str"),
        ({"count": True}, "count is True, expected int"),
        ({"number": False}, "number is False, expected float"),
        ({"switch": 1}, "switch is 1, expected bool"),
        ({"count": 1.0}, "count is 1.0, expected int"),
        ({"count": None}, "count is None, expected int"),
        ({"mode": "both"}, "mode is 'both', expected one of 'batch', 'split'"),
        ({"mode": []}, r"mode is \[\], expected one of 'batch', 'split'"),
        ({"inner": 3}, "inner is 3, expected a table"),
        ({"dims": "height"}, "dims is a text, expected a list"),
        ({"dims": [1, 2.5]}, r"dims\[1\] is 2.5, expected int; or profile p: dims\[1\] is 2.5, expected str"),
        ({"pair": [1]}, "pair has 1 entries, expected 2"),
        ({"pair": [1, 2]}, r"pair\[1\] is 2, expected str"),
        ({"table": []}, "table is a list, expected a table of keys"),
        ({"table": {"a": None}}, r"table\.a is nothing, expected a table of keys"),
    ],
)
def test_a_value_of_another_kind_is_refused_by_path(change, message):
    with pytest.raises(BadProfile, match=f"^profile p: {message}"):
        read({"word": "w", **change})


@pytest.mark.parametrize("table", [None, [], "text", 3])
def test_what_is_no_table_is_refused(table):
    with pytest.raises(BadProfile, match=r"^profile p is .*, expected a table of keys$"):
        read(table)
