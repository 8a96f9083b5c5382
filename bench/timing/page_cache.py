"""The system's copies of files, dropped, so that they are read from the disk again."""

from __future__ import annotations

import os
from pathlib import Path


def drop_cached(folder: Path) -> bool:
    """Drop the folder's files from the page cache; whether the system was asked to, which only some can.

    Linux keeps what is mapped by a process that runs or was not written back yet, and may keep other pages too.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)
    return True
