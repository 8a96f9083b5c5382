"""Processes and their children, as Linux keeps them: the time that they had, and how often they lost a processor."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .told import told


@dataclass(frozen=True)
class Process:
    """One process.  ticks: of processor time, its own and that of the children it has seen the end of."""

    pid: int
    parent: int
    ticks: int


def family(roots: Collection[int], proc: Path = Path("/proc")) -> dict[int, Process]:
    """The processes of those ids, and all that descend from them, by id.

    A child whose parent has ended belongs to nobody, as Linux gives it to the first process.
    """
    running = {found.pid: found for found in map(_process, proc.glob("[0-9]*")) if found}
    ours = {pid: running[pid] for pid in roots if pid in running}
    while more := {pid: one for pid, one in running.items() if one.parent in ours and pid not in ours}:
        ours.update(more)
    return ours


def lost_processor(pids: Collection[int], proc: Path = Path("/proc")) -> dict[tuple[int, int], int]:
    """How often a thread had to go while it had work to do, by (process, thread)."""
    found = {}
    for pid in pids:
        for task in (proc / str(pid) / "task").glob("[0-9]*"):
            match = re.search(r"^nonvoluntary_ctxt_switches:\s*(\d+)", told(task / "status") or "", re.MULTILINE)
            if match:
                found[pid, int(task.name)] = int(match.group(1))
    return found


def _process(folder: Path) -> Process | None:
    """None for one that has ended meanwhile."""
    # A name may hold spaces and brackets; what follows its last bracket starts with the third field.
    fields = (told(folder / "stat") or "").rpartition(")")[2].split()
    if len(fields) < 15:
        return None
    return Process(int(folder.name), int(fields[1]), sum(map(int, fields[11:15])))
