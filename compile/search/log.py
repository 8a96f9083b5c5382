"""Measurements that outlive a kill: one line of JSON for each, added when it is finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..cache import Cache

FILE = "measured.jsonl"


class Log:
    """The measurements of one search, by what was measured.  key: all that they depend on."""

    def __init__(self, cache: Cache, label: str, key: dict[str, Any]) -> None:
        self.file = cache.entry("search", label, key, lambda into: (into / FILE).touch()) / FILE
        self._found = dict(_read(self.file))

    def get(self, what: str) -> dict[str, Any] | None:
        """An earlier measurement, or None."""
        return self._found.get(what)

    def add(self, what: str, table: dict[str, Any]) -> None:
        """Keep a measurement; it is on the disk when this returns."""
        self._found[what] = table
        with self.file.open("a", encoding="utf-8") as file:
            # The newline first: the line before may have been cut short by a kill.
            file.write("\n" + json.dumps({"what": what, "measured": table}))


def _read(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            table = json.loads(line)
            yield table["what"], table["measured"]
        except (ValueError, KeyError, TypeError):
            continue  # cut short
