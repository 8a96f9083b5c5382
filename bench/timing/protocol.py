"""What is said between a measurement and the processes that print for it: lines of JSON.

A subject says Opened first, then answers each Ask with a Sample.  In place of either it may say {"error": why} and end,
or, to an Ask that it can't print, {"refused": why} and go on.  To an Ask for stages it says {"entering": component}
before each component's first run, and waits for a line.
"""

from __future__ import annotations

from dataclasses import dataclass

from .call import Call

GO = "go"
# Questions to a bundle alone, each a line.
DEVICE_MEMORY = "device memory"
SHAPES = "shapes"


@dataclass(frozen=True)
class Ask:
    """save: a PNG that the first image goes to, after the clock has stopped."""

    call: Call
    save: str | None = None
    stages: bool = False
