"""Many calls from a few words: every combination of batches, sizes and steps."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from ...runtime.errors import BadRequest
from .call import LEAST_STEPS, Call

KEYS = ("batch", "size", "steps")
SIZE = re.compile(r"(\d+)(?:x(\d+))?")
EXAMPLE = "such as 'batch=1,2 size=256,512x768 steps=4,20'"


def sweep(text: str, base: Call) -> list[Call]:
    """The base call, then those of the sweep that differ from it, the smallest first; what is not named stays as it is.

    text: words such as batch=1,2,4, size=256,512x768 (height x width) and steps=4,20.  Raises BadRequest.
    """
    given: dict[str, list[str]] = {}
    for word in text.split():
        key, equals, values = word.partition("=")
        if key not in KEYS or not equals or key in given:
            raise BadRequest(f"--sweep has {word!r}; it takes each of {', '.join(KEYS)} once, {EXAMPLE}")
        given[key] = values.split(",")
    batches = [_number(value, 1, "batch") for value in given.get("batch", [str(base.images)])]
    sizes = [parse_size(value) for value in given.get("size", [f"{base.height}x{base.width}"])]
    steps = [_number(value, LEAST_STEPS, "steps") for value in given.get("steps", [str(base.steps)])]
    calls = [
        replace(base, images=images, height=height, width=width, steps=count)
        for images, (height, width), count in itertools.product(batches, sizes, steps)
    ]
    others = dict.fromkeys(call for call in calls if call != base)
    return [base, *sorted(others, key=lambda call: (call.pixels, call.images, call.height, call.steps))]


def parse_size(text: str) -> tuple[int, int]:
    """ "512" or "512x768" -> (height, width) in pixels.  Raises BadRequest."""
    found = SIZE.fullmatch(text)
    if not found or not int(found[1]) or (found[2] and not int(found[2])):
        raise BadRequest(f"a size is {text!r}; it must be pixels such as 512, or height x width such as 512x768")
    return int(found[1]), int(found[2] or found[1])


def _number(text: str, least: int, what: str) -> int:
    if not text.isdigit() or int(text) < least:
        raise BadRequest(f"--sweep has {what}={text}; it must be a number of at least {least}, {EXAMPLE}")
    return int(text)
