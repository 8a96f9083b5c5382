"""What this process takes, as Linux keeps it."""

from __future__ import annotations

from pathlib import Path

STATUS = Path("/proc/self/status")


def memory_bytes(key: str) -> int | None:
    """VmHWM, the peak; VmRSS, now; RssAnon, now, without pages of files.  None where the system does not tell.

    getrusage would tell a peak elsewhere too, but it counts in what the parent had before it started this process.
    """
    if not STATUS.is_file():
        return None
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    return None
