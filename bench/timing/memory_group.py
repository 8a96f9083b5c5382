"""A control group of our own, for a while, that limits memory."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...runtime.errors import BadRequest
from .cgroup import folders
from .told import told

WAIT_S = 5.0  # for processes that were killed to be gone


@contextmanager
def memory_group(limit_bytes: int, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Iterator[Path]:
    """The folder of a group that gets no more than so much memory, and no swap.

    At the end what still runs in it is killed, and it is gone.  Raises BadRequest where none can be made.
    """
    parent = group_parent(proc, sys)
    if parent is None:
        raise BadRequest(
            "this user may make no control group that limits memory; run as root, or by systemd-run --user --scope "
            "-p Delegate=yes, or limit address space instead"
        )
    folder = parent / f"aquatint-{uuid.uuid4().hex[:12]}"
    folder.mkdir()
    try:
        _limit(folder, limit_bytes)
        yield folder
    finally:
        _end(folder)


def group_parent(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Path | None:
    """The nearest group around this process under which groups that limit memory can be made; None for none."""
    for folder in folders("memory", proc, sys):
        # Version 2 has its controls below a group only where the group gives them on.
        limits = (folder / "memory.limit_in_bytes").is_file()
        given_on = "memory" in (told(folder / "cgroup.subtree_control") or "").split()
        if (limits or given_on) and os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK):
            return folder
    return None


def _limit(folder: Path, limit_bytes: int) -> None:
    if (folder / "memory.max").is_file():
        (folder / "memory.max").write_text(str(limit_bytes))
        rest = {"memory.swap.max": 0, "memory.oom.group": 1}
    else:
        (folder / "memory.limit_in_bytes").write_text(str(limit_bytes))
        rest = {"memory.memsw.limit_in_bytes": limit_bytes}  # memory and swap together
    for name, value in rest.items():
        if (folder / name).is_file():  # kernels without swap have no file for it
            (folder / name).write_text(str(value))


def _end(folder: Path) -> None:
    until = time.monotonic() + WAIT_S
    while True:
        for pid in (told(folder / "cgroup.procs") or "").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            folder.rmdir()
            return
        except OSError:  # a process takes a moment to go
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
