"""A measurement as a file: what ran, on what, every sample."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...runtime.errors import BadRequest
from ...runtime.pixels import write_whole
from ...runtime.record import from_table, to_table
from .machine import Machine
from .rounds import Patience, Run
from .subject import Measured
from .worker import Order

FORMAT = 1


@dataclass(frozen=True)
class Result:
    """format: raised when a field changes its meaning.  orders: of the subjects, in their order.

    machine: as it was before.
    """

    format: int
    machine: Machine
    orders: tuple[Order, ...]
    patience: Patience
    run: Run


def write_result(result: Result, path: Path) -> None:
    """As JSON.  Raises OutputFailed."""
    text = json.dumps(to_table(result), indent=1, ensure_ascii=False) + "\n"
    write_whole(path, lambda file: file.write_text(text, encoding="utf-8"))


def read_result(path: Path) -> Result:
    """Raises BadRequest where the file is no result, or of a later format."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise BadRequest(f"can't read {path}: {reason}") from reason
    found = table.get("format") if isinstance(table, dict) else None
    if found != FORMAT:
        raise BadRequest(f"{path} is no result of aquatint bench that this version reads (format {found!r})")
    return from_table(Result, table, str(path), BadRequest)


def stages(measured: Measured) -> dict[str, list[float]]:
    """Every stage's samples in seconds: "picture", "step", "host" and each component's, from all pictures."""
    found: dict[str, list[float]] = {"picture": [sample.total for sample in measured.samples]}
    found["step"] = [step for sample in measured.samples for step in sample.steps]
    host = [share for sample in measured.samples for share in sample.host or ()]
    if host:
        found["host"] = host
    for sample in measured.samples:
        for name, seconds in sample.stages.items():
            found.setdefault(name, []).append(seconds)
    return {name: samples for name, samples in found.items() if samples}


def csv_text(result: Result) -> str:
    """A line for each sample: bundle, target, stage, index, seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("bundle", "target", "stage", "index", "seconds"))
    writer.writerows(_rows(result))
    return text.getvalue()


def _rows(result: Result) -> Iterator[tuple[str, str, str, int, float]]:
    for measured in result.run.subjects:
        for stage, samples in stages(measured).items():
            for index, seconds in enumerate(samples):
                yield measured.bundle, measured.target, stage, index, seconds
