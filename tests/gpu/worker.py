"""The process of one stage: python -m aquatint.tests.gpu.worker FOLDER, which holds job.json.

It tells what it does in lines of JSON on stdout; what went wrong for a known reason is left in the folder in one line.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
from pathlib import Path

from aquatint.runtime.errors import Error
from aquatint.runtime.record import from_table
from aquatint.tests.gpu.protocol import DONE, JOB, REASON, tell

# Each has a dataclass Job, and do(job, folder) -> dict.
WORKS = ("environment", "checkpoint", "compiling", "printing", "timing", "baseline")


class Said(logging.Handler):
    """What our own log says, such as that a network runs without a CUDA graph."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main(folder: Path) -> None:
    """Do what `folder`/job.json says."""
    told = json.loads((folder / JOB).read_text(encoding="utf-8"))
    if told["work"] not in WORKS:
        raise ValueError(f"no work {told['work']!r}; known: {', '.join(WORKS)}")
    said, log = Said(), logging.getLogger("aquatint")
    log.addHandler(said)
    log.setLevel(logging.INFO)
    try:
        module = importlib.import_module(f"{__package__}.{told['work']}")
        result = module.do(from_table(module.Job, told["job"], JOB, ValueError), folder)
    except Error as wrong:
        (folder / REASON).write_text(" ".join(str(wrong).split()), encoding="utf-8")
        sys.exit(1)
    tell(DONE, result={**result, "said": said.lines})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
