"""How the command line looks: tables to stdout, one live line of progress to stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from types import TracebackType


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


class Progress:
    """A line on stderr that is drawn over, and log lines above it; silent where stderr is no terminal."""

    def __init__(self, logs: bool) -> None:
        self._live = sys.stderr.isatty()
        self._start = time.perf_counter()
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

    def bar(self, done: int, total: int, label: str) -> None:
        """A bar for counted work, with the time that each part took and what is left."""
        spent = time.perf_counter() - self._start
        each = spent / done if done else 0.0
        filled = "#" * (24 * done // total)
        self.show(
            f"{label} [{filled:<24}] {done}/{total}"
            + (f"  {each:.2f} s each, {each * (total - done):.0f} s left" if done else "")
        )

    def restart(self) -> None:
        """Count time from now."""
        self._start = time.perf_counter()


class _LinesAbove(logging.Handler):
    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.line(record.getMessage())
