"""What a process's resident memory is made of: a bundle's files, other files, and what it wrote itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..process_memory import PROC

# Shared memory has names like files, but it is nowhere else than in memory.
IN_MEMORY = ("/dev/shm/", "/memfd:", "/SYSV", "/dev/zero")
START = re.compile(r"^[0-9a-f]+-[0-9a-f]+ ")


@dataclass(frozen=True)
class Parts:
    """Resident bytes, by where they come from.

    weights: of the bundle's files, mapped as they are; Linux may drop them and read them again.  Weights that an
    engine has copied or packed anew are in anonymous: from outside they look like activations.
    other_files: programs and libraries.  shared: memory shared with other processes.
    proportional: the whole, with every page divided by the number of processes that have it; None where it is not told.
    """

    weights: int
    other_files: int
    anonymous: int
    shared: int
    proportional: int | None

    @property
    def resident(self) -> int:
        return self.weights + self.other_files + self.anonymous + self.shared


def bundle_files(folder: Path) -> frozenset[str]:
    """The bundle's files by the names that a process's mappings have: links followed."""
    return frozenset(str(file.resolve()) for file in folder.rglob("*") if file.is_file())


def resident_parts(pid: int, weights: Collection[str], proc: Path = PROC) -> Parts | None:
    """Of a process now; None where the system does not tell, or the process has ended.

    weights: names of files, as of bundle_files.  Linux walks all pages for it, and the process must wait to map more:
    about 10 ms for each GB, so not while something is timed.
    """
    try:
        text = (proc / str(pid) / "smaps").read_text(errors="replace")
    except OSError:
        return None
    sums = dict.fromkeys(("weights", "other_files", "anonymous", "shared"), 0)
    shares = []
    for name, sizes in _mappings(text):
        # Pages of a file that were written to are this process's own.
        own = sizes.get("Anonymous", 0)
        sums["anonymous"] += own
        sums[_kind(name, weights)] += sizes.get("Rss", 0) - own
        if "Pss" in sizes:
            shares.append(sizes["Pss"])
    return Parts(**sums, proportional=sum(shares) if shares else None) if any(sums.values()) else None


def _kind(name: str, weights: Collection[str]) -> str:
    if name in weights:
        return "weights"
    if name.startswith(IN_MEMORY):
        return "shared"
    return "other_files" if name.startswith("/") else "anonymous"


def _mappings(text: str) -> Iterator[tuple[str, dict[str, int]]]:
    """Of each mapping its name, empty for none, and its sizes in bytes."""
    name, sizes = "", dict[str, int]()
    for line in text.splitlines():
        if START.match(line):
            if sizes:
                yield name, sizes
            fields = line.split(maxsplit=5)
            name, sizes = fields[5].removesuffix(" (deleted)") if len(fields) > 5 else "", {}
        elif line.endswith(" kB"):
            key, _, size = line.partition(":")
            sizes[key] = 1024 * int(size.split()[0])
    if sizes:
        yield name, sizes
