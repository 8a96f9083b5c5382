"""What a small file of /proc or /sys says, or nothing where it is not there."""

from __future__ import annotations

from pathlib import Path


def told(path: Path) -> str | None:
    """The file's text without the space around it; None where it can't be read, as where a process has ended."""
    try:
        # Device trees end their texts with a zero byte.
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \t\n")
    except OSError:
        return None


def told_number(path: Path) -> int | None:
    """The one whole number in the file; None where there is none."""
    text = told(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
