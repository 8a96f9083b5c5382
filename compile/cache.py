"""Finished pieces of earlier compiles, so that a killed or changed compile goes on where it can."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = "key.json"
PART = re.compile(r"-part-(\d+)-\w+$")  # of a folder that the process of that id is filling


@dataclass(frozen=True)
class Entry:
    """One cached piece.  kind: "graph", "reference", "artifact" or "checkpoint".  label: for people."""

    path: Path
    kind: str
    label: str
    size_bytes: int
    used: float


class Cache:
    """A folder of entries, each under the hash of all that went into it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def has(self, kind: str, key: dict[str, Any]) -> bool:
        """Whether the entry is there, whole."""
        return (self._place(kind, key) / KEY).is_file()

    def entry(self, kind: str, label: str, key: dict[str, Any], make: Callable[[Path], None]) -> Path:
        """The folder for `key`; `make` fills it the first time.

        It appears whole or not at all: it is filled under another name, then renamed.
        """
        place = self._place(kind, key)
        if not self.has(kind, key):
            part = self.root / f"{kind}-part-{os.getpid()}-{uuid.uuid4().hex[:8]}"
            part.mkdir(parents=True)
            try:
                make(part)
                (part / KEY).write_text(json.dumps({"kind": kind, "label": label, "key": key}, indent=2))
                _move(part, place)
            finally:
                shutil.rmtree(part, ignore_errors=True)
        os.utime(place / KEY)
        return place

    def entries(self) -> Iterator[Entry]:
        """Every whole entry, oldest use first."""
        found = []
        for key in self.root.glob(f"*/{KEY}"):
            if PART.search(key.parent.name):
                continue
            table = json.loads(key.read_text())
            files = [file for file in key.parent.rglob("*") if file.is_file()]
            size_bytes = sum(file.stat().st_size for file in files)
            found.append(Entry(key.parent, table["kind"], table["label"], size_bytes, key.stat().st_mtime))
        yield from sorted(found, key=lambda entry: entry.used)

    def prune(self, older_than_days: float = 0) -> int:
        """Remove entries not used for that long, and what killed compiles left; returns the bytes freed."""
        limit = time.time() - older_than_days * 86400
        freed = 0
        for entry in list(self.entries()):
            if entry.used <= limit:
                shutil.rmtree(entry.path)
                freed += entry.size_bytes
        return freed + self.sweep()

    def sweep(self) -> int:
        """Remove what compiles left that run no more; returns the bytes freed."""
        freed = 0
        for part in self.root.glob("*-part-*"):
            named = PART.search(part.name)
            if named and not alive(int(named[1])):
                freed += sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
                shutil.rmtree(part, ignore_errors=True)
        return freed

    def _place(self, kind: str, key: dict[str, Any]) -> Path:
        text = json.dumps({"kind": kind, **key}, sort_keys=True)
        return self.root / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _move(part: Path, place: Path) -> None:
    try:
        part.rename(place)
    except OSError:
        # Another compile made the same entry in the meantime; an entry without its key is a ruin.
        if not (place / KEY).is_file():
            shutil.rmtree(place, ignore_errors=True)
            part.rename(place)


def alive(pid: int) -> bool:
    """Whether a process of this machine runs; where that can't be known, it is taken to."""
    return Path(f"/proc/{pid}").exists() if Path("/proc").is_dir() else True
