"""What a process takes, as Linux keeps it."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def memory_bytes(key: str) -> int | None:
    """VmHWM, the peak; VmRSS, now; RssAnon, now, without pages of files.  None where the system does not tell.

    Of this process.  getrusage would tell a peak elsewhere too, but it counts in what the parent had before it started
    this process.
    """
    return status_bytes(None).get(key)


def status_bytes(pid: int | None, proc: Path = PROC) -> dict[str, int]:
    """All that the status of a process tells in bytes, by key, as in memory_bytes.

    pid: None for this process.  Empty where the system does not tell, or the process has ended.
    """
    try:
        text = (proc / ("self" if pid is None else str(pid)) / "status").read_text(errors="replace")
    except OSError:
        return {}
    lines = (line.split() for line in text.splitlines())
    return {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines if len(words) == 3 and words[2] == "kB"}
