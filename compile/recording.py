"""What calibration wrote to disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

CASES, ROWS = "cases", "rows"


@dataclass(frozen=True)
class Recording:
    """Recorded calls.  key: all that they depend on."""

    folder: Path
    key: dict[str, Any]

    @property
    def cases(self) -> Path:
        """The folder whose subfolders are recorded calls, as compile.cases reads them."""
        return self.folder / CASES

    def rows(self, component: str) -> Path:
        """The folder of what the component's layers were given, as quantize.activations reads it."""
        return self.folder / ROWS / component
