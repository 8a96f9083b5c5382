"""The schema of a result: it takes what is written, and nothing else."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import jsonschema
import pytest

from aquatint.bench.timing.result import Result
from aquatint.bench.timing.schema import schema_of
from aquatint.runtime.record import from_table, to_table
from aquatint.tests.bench.timing import made_up_run as made_up


@dataclass(frozen=True)
class Leaf:
    """What hangs on a twig.

    color: as people say it.
    """

    color: Literal["green", "red"]
    size: float = 1.0


@dataclass(frozen=True)
class Twig:
    leaves: tuple[Leaf, ...]
    place: tuple[int, str]
    names: Mapping[str, Leaf | None]
    notes: Sequence[str] = ()
    sure: bool = True
    extra: dict[str, int] = field(default_factory=dict)


def validator(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture(scope="module")
def of_result():
    return validator(schema_of(Result))


@pytest.fixture
def table():
    return json.loads(json.dumps(to_table(made_up.result(made_up.large()))))


@pytest.mark.parametrize("run", [made_up.large, made_up.demo, made_up.swept])
def test_every_result_is_as_the_schema_says(run, of_result):
    of_result.validate(json.loads(json.dumps(to_table(made_up.result(run())))))


def spoiled(table, place, value=KeyError):
    """A copy with another value there, or without the key."""
    table = copy.deepcopy(table)
    inside = table
    for key in place[:-1]:
        inside = inside[key]
    if value is KeyError:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    return table


WRONG = [
    (("run",), KeyError),
    (("run", "points", 0, "series", 0, "samples", 0, "total"), KeyError),
    (("run", "points", 0, "series", 0, "samples", 0, "steps"), [1.0, "2"]),
    (("run", "points", 0, "series", 0, "samples", 0, "host"), 1.0),
    (("run", "points", 0, "series", 0, "samples", 0, "stages"), {"unet": None}),
    (("run", "points", 0, "call", "steps"), 10.5),
    (("run", "points", 0, "call", "steps"), True),
    (("run", "subjects", 0, "order", "kind"), "tensorflow"),
    (("run", "subjects", 0, "extra"), 1),
    (("machine", "cpu"), 5),
    (("format",), "2"),
    (("run", "stopped"), 0),
]


@pytest.mark.parametrize(("place", "value"), WRONG)
def test_what_from_table_refuses_the_schema_refuses(place, value, of_result, table):
    wrong = spoiled(table, place, value)
    with pytest.raises(ValueError, match=r"^result"):
        from_table(Result, wrong, "result", ValueError)
    with pytest.raises(jsonschema.ValidationError):
        of_result.validate(wrong)


def test_keys_with_defaults_may_be_left_out_in_both(of_result, table):
    shorter = spoiled(table, ("run", "stopped"))
    of_result.validate(shorter)
    assert from_table(Result, shorter, "result", ValueError) == made_up.result(made_up.large())


def test_the_schema_of_small_classes_is_this():
    leaf = {"$ref": "#/$defs/Leaf"}
    assert schema_of(Twig) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Twig",
        "description": schema_of(Twig)["description"],
        "type": "object",
        "properties": {
            "leaves": {"type": "array", "items": leaf},
            "place": {
                "type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False,
                "minItems": 2,
            },
            "names": {"type": "object", "additionalProperties": {"anyOf": [leaf, {"type": "null"}]}},
            "notes": {"type": "array", "items": {"type": "string"}},
            "sure": {"type": "boolean"},
            "extra": {"type": "object", "additionalProperties": {"type": "integer"}},
        },
        "required": ["leaves", "place", "names"],
        "additionalProperties": False,
        "$defs": {
            "Leaf": {
                "description": "What hangs on a twig.\n\ncolor: as people say it.",
                "type": "object",
                "properties": {"color": {"enum": ["green", "red"]}, "size": {"type": "number"}},
                "required": ["color"],
                "additionalProperties": False,
            }
        },
    }  # fmt: skip


def test_a_tuple_of_another_length_is_refused():
    found = validator(schema_of(Twig))
    good = {"leaves": [], "place": [1, "a"], "names": {}}
    found.validate(good)
    for place in ([1], [1, "a", 2], ["a", 1]):
        with pytest.raises(jsonschema.ValidationError):
            found.validate(good | {"place": place})


def test_every_class_of_a_result_explains_itself(of_result):
    parts = of_result.schema["$defs"] | {"Result": of_result.schema}
    assert {"Run", "Sample", "Machine", "Patience", "Point"} <= set(parts)
    assert not [name for name, part in parts.items() if part["description"].startswith(f"{name}(")]


def test_a_field_without_a_schema_is_named():
    @dataclass(frozen=True)
    class Odd:
        raw: bytes

    with pytest.raises(TypeError, match=r"Odd\.raw is a <class 'bytes'>"):
        schema_of(Odd)
