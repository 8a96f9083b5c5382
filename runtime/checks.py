"""A caller's values, checked one by one: what is wrong is quoted, with what would be right."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .errors import BadRequest

LIMIT = 1 << 16  # of sides in pixels, steps, copies and entries of a list
SHOWN = 80  # characters of a value that a message quotes


def texts(value: Any, name: str) -> tuple[str, ...]:
    """One text or several.  Raises BadRequest."""
    found = (value,) if isinstance(value, str) else _entries(value, name) if isinstance(value, Sequence) else ()
    if not found or not all(isinstance(text, str) for text in found):
        raise BadRequest(f"{name} is {quoted(value)}; it must be a text or a list of texts")
    # Bytes of a command line that were not UTF-8 arrive as lone surrogates, which no tokenizer and no file takes.
    if any("\ud800" <= sign <= "\udfff" for text in found for sign in text):
        raise BadRequest(f"{name} is {quoted(value)}, which is no valid Unicode")
    return found


def seeds(value: Any) -> tuple[int, ...]:
    """One whole number or several, each as torch takes it.  Raises BadRequest."""
    several = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)
    found = _entries(value, "seed") if several else (value,)
    if not found or not all(_is_whole(seed) for seed in found):
        raise BadRequest(f"seed is {quoted(value)}; it must be a whole number, or a list of them")
    for seed in found:
        if not -(2**63) <= seed < 2**64:
            raise BadRequest(f"seed is {quoted(seed)}; it must be from -2**63 to 2**64 - 1")
    return tuple(int(seed) for seed in found)


def whole(value: Any, name: str, least: int = 1, most: int = LIMIT) -> int:
    """A whole number within bounds.  Raises BadRequest."""
    if not _is_whole(value) or not least <= value <= most:
        raise BadRequest(f"{name} is {quoted(value)}; it must be a whole number from {least} to {most}")
    return int(value)


def finite(value: Any, name: str) -> float:
    """A number that is neither infinite nor NaN.  Raises BadRequest."""
    # A whole number past float's range would overflow in isfinite.
    large = isinstance(value, int) and abs(value) > sys.float_info.max
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool | np.timedelta64)
    if not number or large or not math.isfinite(value):
        raise BadRequest(f"{name} is {quoted(value)}; it must be a finite number")
    return float(value)


def bounded(value: Any, name: str) -> float:
    """A finite number that float32 can still reckon with.  Raises BadRequest."""
    found = finite(value, name)
    if abs(found) > LIMIT:
        raise BadRequest(f"{name} is {found:g}; it must be from {-LIMIT} to {LIMIT}")
    return found


def numbers(value: Any, name: str) -> tuple[float, ...]:
    """Finite numbers, one at least.  Raises BadRequest."""
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not listed and not (isinstance(value, np.ndarray) and value.ndim == 1):
        raise BadRequest(f"{name} must be a list of numbers, descending, not {quoted(value)}")
    found = _entries(value, name)
    if not found:
        raise BadRequest(f"{name} must be a list of numbers, descending, with one at least, not {quoted(value)}")
    return tuple(finite(number, name) for number in found)


def share(value: Any, name: str, *, open_ends: bool = False) -> float:
    """A number from 0 to 1; with open_ends neither of them.  Raises BadRequest."""
    found = finite(value, name)
    if not 0 <= found <= 1 or (open_ends and found in (0, 1)):
        raise BadRequest(f"{name} is {found:g}; it must be {'between 0 and 1' if open_ends else 'from 0 to 1'}")
    return found


def pair(value: Any, name: str) -> tuple[int, int]:
    """(height, width) or (top, left) in pixels, as SDXL is told them.  Raises BadRequest."""
    found = tuple(value) if isinstance(value, Sequence) and len(value) == 2 else ()
    if not found or not all(_is_whole(side) and -LIMIT <= side <= LIMIT for side in found):
        raise BadRequest(f"{name} is {quoted(value)}; it must be two whole numbers, such as (1024, 1024)")
    return int(found[0]), int(found[1])


def one_of(value: Any, name: str, allowed: Sequence[str]) -> str:
    """One of some words.  Raises BadRequest."""
    if not isinstance(value, str) or value not in allowed:
        raise BadRequest(f"{name} is {quoted(value)}; it must be one of {', '.join(allowed)}")
    return value


def flag(value: Any, name: str) -> bool:
    """True or False.  Raises BadRequest."""
    if not isinstance(value, bool):
        raise BadRequest(f"{name} is {quoted(value)}; it must be True or False")
    return value


def scheduler(value: Any) -> str | dict[str, Any]:
    """A scheduler's name, or its configuration as JSON has it.  Raises BadRequest."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise BadRequest(f"scheduler is {quoted(value)}; it must be a name, or a configuration with a _class_name")
    return {key: _setting(key, entry) for key, entry in value.items()}


def quoted(value: Any) -> str:
    """The value as a message may show it: in one line, and a long one is cut."""
    try:
        text = repr(value) if not isinstance(value, np.ndarray) else f"an array of shape {value.shape}"
    except Exception:  # Python writes no whole number of over 4300 digits, and a caller's own class may write nothing.
        text = f"a very large {type(value).__name__}" if isinstance(value, int) else f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 4].rstrip()} ..."


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)


def _entries(value: Any, name: str) -> tuple[Any, ...]:
    if len(value) > LIMIT:
        raise BadRequest(f"{name} has {len(value)} entries; it must have at most {LIMIT}")
    return tuple(value)


def _setting(key: str, value: Any) -> Any:
    """A setting in Python's own types: NumPy's, which Diffusers takes too, as lists and numbers."""
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    entries = _entries(plain, f"scheduler: {key}") if isinstance(plain, list | tuple) else (plain,)
    for entry in entries:
        if not isinstance(entry, str | int | float | None) or (isinstance(entry, int) and abs(entry) >= 2**64):
            raise BadRequest(
                f"scheduler: {key} is {quoted(value)}; a setting is a text, True, False, a number of up to 64 bits, "
                "nothing, or a list of these"
            )
    return list(entries) if isinstance(plain, list | tuple) else plain
