"""A checkpoint of random weights at a true architecture, written once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aquatint.bench.checkpoints import write_checkpoint


@dataclass(frozen=True)
class Job:
    """name: of bench.checkpoints.  folder: where it is to lie."""

    name: str
    folder: str


def do(job: Job, folder: Path) -> dict[str, Any]:
    """Write it under another name first: what has the right one is whole."""
    wanted = Path(job.folder)
    beside = wanted.with_name(f".{wanted.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    write_checkpoint(job.name, beside, "float16")
    beside.rename(wanted)
    return {"size_bytes": sum(file.stat().st_size for file in wanted.rglob("*") if file.is_file())}
