"""What parent and worker say to each other: files in the stage's folder, and lines of JSON on stdout."""

from __future__ import annotations

import json
from typing import Any

JOB, STDERR, REASON = "job.json", "stderr.txt", "reason.txt"
EVENT, DONE = "event", "done"


def tell(event: str, **fields: Any) -> None:
    """A line for the parent, which notes when it came."""
    print(json.dumps({EVENT: event, **fields}), flush=True)


def read_event(line: str) -> dict[str, Any] | None:
    """A line of the worker's; None for what libraries print between them."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) and isinstance(told.get(EVENT), str) else None
