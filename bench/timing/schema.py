"""What a file of frozen dataclasses must be like, as a JSON Schema: for those who read it with other programs."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number", types.NoneType: "null"}


def schema_of(cls: type) -> dict[str, Any]:
    """The schema of what runtime.record.to_table makes of the dataclass, and of what from_table takes.

    Every dataclass within it is one of $defs, with its docstring; each key without a default is required, and no
    other keys are allowed.  Raises TypeError for two classes of one name, and for fields of other kinds.
    """
    found: dict[type, dict[str, Any]] = {}
    _add(cls, found)
    names = [each.__name__ for each in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise TypeError(f"{cls.__name__} holds different classes of one name: {', '.join(sorted(twice))}")
    whole = found.pop(cls)
    parts = {each.__name__: part for each, part in sorted(found.items(), key=lambda item: item[0].__name__)}
    return {"$schema": DIALECT, "title": cls.__name__, **whole, "$defs": parts}


def _add(cls: type, found: dict[type, dict[str, Any]]) -> None:
    """Its schema, and those of the classes in its fields, into `found`."""
    if cls in found:
        return
    found[cls] = {}  # a place, for classes that hold themselves
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)
    found[cls] = {
        "description": inspect.getdoc(cls) or "",
        "type": "object",
        "properties": {field.name: _kind(hints[field.name], found, f"{cls.__name__}.{field.name}") for field in fields},
        "required": [field.name for field in fields if _is_needed(field)],
        "additionalProperties": False,
    }


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _kind(hint: Any, found: dict[type, dict[str, Any]], where: str) -> dict[str, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return {}
    if dataclasses.is_dataclass(hint):
        cls = typing.cast(type, hint)
        _add(cls, found)
        return {"$ref": f"#/$defs/{cls.__name__}"}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_kind(arg, found, where) for arg in args]}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin is Sequence or (origin is tuple and args[-1] is Ellipsis):
        return {"type": "array", "items": _kind(args[0], found, where)}
    if origin is tuple:
        each = [_kind(arg, found, where) for arg in args]
        return {"type": "array", "prefixItems": each, "items": False, "minItems": len(each)}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _kind(args[1], found, where)}
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    raise TypeError(f"{where} is a {hint}, for which there is no schema")
