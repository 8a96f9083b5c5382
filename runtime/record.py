"""Between JSON or TOML tables and frozen dataclasses: strict, with errors that name the key."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def from_table(cls: type[T], table: Any, where: str, error: type[Exception]) -> T:
    """Make the dataclass `cls` from a parsed table; fields may be dataclasses, tuples, dicts, Literals, unions.

    where: how messages call the table ("profile fast", "manifest.json").
    Raises `error` on unknown or missing keys and on values of another type.
    """
    if not isinstance(table, Mapping):
        raise error(f"{where} is {_kind(table)}, expected a table of keys")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = [str(key) for key in table if key not in fields]
    if unknown:
        raise error(f"{where} has no key {', '.join(unknown)}; known keys: {', '.join(sorted(fields))}")
    hints = typing.get_type_hints(cls)
    values = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _convert(hints[name], table[name], f"{where}: {name}", error)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise error(f"{where} lacks the key {name}")
    try:
        return cls(**values)
    except ValueError as reason:
        raise error(f"{where}: {reason}") from reason


def to_table(record: Any) -> Any:
    """The inverse of from_table: plain dicts and lists, for json.dump."""
    if dataclasses.is_dataclass(record):
        return {field.name: to_table(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {key: to_table(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [to_table(value) for value in record]
    return record


def _convert(hint: Any, value: Any, where: str, error: type[Exception]) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return from_table(typing.cast(type, hint), value, where, error)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(args, value, where, error)
    if origin is typing.Literal:
        if value not in args:
            raise error(f"{where} is {value!r}, expected one of {', '.join(map(repr, args))}")
        return value
    if origin is Sequence:
        return _convert(tuple[args[0], ...], value, where, error)  # type: ignore[valid-type]
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise error(f"{where} is {_kind(value)}, expected a list")
        if args[-1] is not Ellipsis and len(args) != len(value):
            raise error(f"{where} has {len(value)} entries, expected {len(args)}")
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(_convert(kind, item, f"{where}[{i}]", error) for i, (kind, item) in enumerate(zip(kinds, value)))
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise error(f"{where} is {_kind(value)}, expected a table of keys")
        return {str(key): _convert(args[1], item, f"{where}.{key}", error) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise error(f"{where} is {value!r}, expected {hint.__name__}")
    return value


def _convert_union(kinds: tuple[Any, ...], value: Any, where: str, error: type[Exception]) -> Any:
    if value is None and type(None) in kinds:
        return None
    reasons = []
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return _convert(kind, value, where, error)
        except error as reason:
            reasons.append(str(reason))
    raise error("; or ".join(reasons))


def _kind(value: Any) -> str:
    return {dict: "a table", list: "a list", str: "a text", type(None): "nothing"}.get(type(value), f"{value!r}")
