"""What Linux's control groups allow this process: of the processors' time and of memory, in version 1 and 2."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from .told import told, told_number

NO_LIMIT = 2**62  # version 1 writes "none" as the largest number that it can


def cpu_quota(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> float | None:
    """How many cores' worth of time this process gets at most; None for no quota, or where it is not told."""
    quotas = []
    for folder in folders("cpu", proc, sys):
        words = (told(folder / "cpu.max") or "").split()
        if len(words) == 2 and words[0] != "max":
            quotas.append(int(words[0]) / int(words[1]))
        quota, period = told_number(folder / "cpu.cfs_quota_us"), told_number(folder / "cpu.cfs_period_us")
        if quota is not None and period and quota > 0:
            quotas.append(quota / period)
    return min(quotas, default=None)


def memory_limit_bytes(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> int | None:
    """The most memory for this process and those beside it; None for no limit, or where it is not told."""
    limits = []
    for folder in folders("memory", proc, sys):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = told_number(folder / name)
            if limit is not None and limit < NO_LIMIT:
                limits.append(limit)
    return min(limits, default=None)


def held_back_s(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> float | None:
    """How long the group's tasks have stood still in all because its quota was used up; None where it is not told."""
    for folder in folders("cpu", proc, sys):
        for line in (told(folder / "cpu.stat") or "").splitlines():
            key, _, value = line.partition(" ")
            if key == "throttled_usec":
                return int(value) / 1e6
            if key == "throttled_time":  # version 1, in nanoseconds
                return int(value) / 1e9
    return None


def folders(controller: str, proc: Path, sys: Path) -> list[Path]:
    """This process's group and those that it lies in, innermost first: a limit on any of them counts.

    In a container the path that /proc tells may be the host's, and then only the outermost folder is there.
    """
    found = []
    for line in (told(proc / "self" / "cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        base = sys / "fs" / "cgroup"
        if controllers:
            if controller not in controllers.split(","):
                continue
            base /= controller
        elif not (base / "cgroup.controllers").is_file():
            base /= "unified"  # where version 2 lies beside version 1
        inner = PurePosixPath(path.lstrip("/"))
        found += [base / step for step in (inner, *inner.parents) if ".." not in step.parts]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]
