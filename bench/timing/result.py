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
from .measured import Run, Series
from .patience import Patience

FORMAT = 2


@dataclass(frozen=True)
class Result:
    """format: raised when a field changes its meaning.  machine: as it was before."""

    format: int
    machine: Machine
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


def stages(series: Series) -> dict[str, list[float]]:
    """Every stage's samples in seconds: "picture", "step", "host" and each component's, from all calls."""
    found: dict[str, list[float]] = {"picture": [sample.total for sample in series.samples]}
    found["step"] = [step for sample in series.samples for step in sample.steps]
    found["host"] = [share for sample in series.samples for share in sample.host or ()]
    for sample in series.samples:
        for name, seconds in sample.stages.items():
            found.setdefault(name, []).append(seconds)
    return {name: samples for name, samples in found.items() if samples}


def csv_text(result: Result) -> str:
    """A line for each sample: who, its target, the call, stage, index, seconds."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("subject", "target", "images", "height", "width", "steps", "stage", "index", "seconds"))
    writer.writerows(_rows(result))
    return text.getvalue()


def _rows(result: Result) -> Iterator[tuple[str | int | float, ...]]:
    for point in result.run.points:
        call = point.call
        for measured, series in zip(result.run.subjects, point.series, strict=True):
            target = measured.opened.target if measured.opened else ""
            who = (measured.order.name, target, call.images, call.height, call.width, call.steps)
            for stage, samples in stages(series).items():
                for index, seconds in enumerate(samples):
                    yield *who, stage, index, seconds
