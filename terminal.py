"""How the command line looks: tables to stdout, one live line of progress to stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import TypeVar

Doing = TypeVar("Doing")
Result = TypeVar("Result")


def table(rows: Sequence[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Columns as wide as their widest cell, two spaces apart."""
    cells = [[str(cell) for cell in row] for row in ([header] if header else []) + list(rows)]
    if not cells:
        return ""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells)


def size_text(size_bytes: float) -> str:
    """1_718_931_200 -> "1.72 GB"."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= 0.9995 * scale:  # what three digits round up to 1
            return f"{size_bytes / scale:.3g} {unit}"
    return f"{size_bytes:.0f} bytes"


def drive(work: Generator[Doing, None, Result], show: Callable[[Doing], object]) -> Result:
    """Run a generator to its end, showing what it yields; returns its result."""
    while True:
        try:
            now = next(work)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        show(now)


class Progress:
    """A line on stderr that is drawn over, and log lines above it; silent where stderr is no terminal."""

    def __init__(self, logs: bool) -> None:
        self._live = sys.stderr.isatty()
        self._start = self._first = time.perf_counter()
        self._handler = _LinesAbove(self)
        self._logger = logging.getLogger(__package__)
        self._level = self._logger.level
        self._logs = logs
        self._text = ""

    def __enter__(self) -> Progress:
        if self._logs:
            self._logger.addHandler(self._handler)
            self._logger.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._level)
        self.show("")

    def show(self, text: str) -> None:
        """Replace the live line; an empty text removes it."""
        self._text = text
        if self._live:
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()

    def line(self, text: str) -> None:
        """A line that stays, above the live one."""
        if self._live:
            sys.stderr.write("\r\x1b[2K")
        sys.stderr.write(f"{time.perf_counter() - self._start:7.1f} s  {text}\n")
        self.show(self._text)

    def bar(self, done: int, total: int, label: str, unit: str = "step") -> None:
        """A bar for counted work, with its rate and the time that is left."""
        now = time.perf_counter()
        if done == 1:
            self._first = now
        # The first part often loads or encodes something too, and would hide how fast the others are.
        spent, parts = (now - self._first, done - 1) if done > 1 else (now - self._start, done)
        filled = "#" * (24 * done // total)
        self.show(f"{label} [{filled:<24}] {done}/{total}{_rate(parts, spent, total - done, unit)}")

    def step(self, done: int, total: int, label: str) -> None:
        """A bar for work that is counted where total is not 0, else its label."""
        if total:
            self.bar(done, total, label)
        else:
            self.show(label)

    def restart(self) -> None:
        """Count time from now."""
        self._start = self._first = time.perf_counter()


def _rate(parts: int, spent: float, left: int, unit: str) -> str:
    """5 parts in 1.6 s, 14 left -> "  3.1 steps/s, 4 s left"."""
    if not parts or spent <= 0:
        return ""
    each = spent / parts
    speed = f"{1 / each:.1f} {unit}s/s" if each < 1 else f"{each:.1f} s/{unit}"
    seconds = each * left
    return f"  {speed}, " + (f"{seconds:.0f} s left" if seconds < 99.5 else f"{seconds / 60:.0f} min left")


class _LinesAbove(logging.Handler):
    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.line(record.getMessage())
