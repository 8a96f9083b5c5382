"""One bundle in a process of its own, which prints a picture whenever it is asked to.

python -m aquatint.bench.timing.worker JOB, with the job as JSON; a line of JSON comes back for each line that goes in.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any, TextIO

from ...runtime.bundle import open_bundle
from ...runtime.errors import Error
from ...runtime.record import from_table, to_table
from ...runtime.session import EngineOptions
from ..comparison_trial import Job
from .picture import Photographer

TAKE = "take"


@dataclass(frozen=True)
class Order:
    """What a worker is to measure.  device: as in open_bundle."""

    job: Job
    device: str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Opened:
    """What a worker says first.  load_s: opening the bundle and its engines for the usual size."""

    load_s: float
    target: str
    profile: str


def main(text: str) -> None:
    """Open the bundle, then answer; ends with the input.  What went wrong is a line {"error": ...}."""
    out = _own_output()
    try:
        order = from_table(Order, json.loads(text), "the job", ValueError)
        start = time.perf_counter()
        bundle = open_bundle(order.job.bundle, device=order.device, options=EngineOptions(threads=order.threads))
        photographer = Photographer(bundle, order.job)
        opened = Opened(time.perf_counter() - start, str(bundle.target), bundle.manifest.profile)
        _say(out, to_table(opened))
        for line in sys.stdin:
            if line.strip() == TAKE:
                _say(out, to_table(photographer.take()))
        photographer.close()
    except (Error, ValueError, MemoryError) as wrong:
        _say(out, {"error": str(wrong) or type(wrong).__name__})
        sys.exit(1)


def _own_output() -> TextIO:
    """Stdout for our lines alone: whatever else prints there goes to stderr."""
    mine = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return mine


def _say(out: TextIO, table: Any) -> None:
    out.write(json.dumps(table) + "\n")
    out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
