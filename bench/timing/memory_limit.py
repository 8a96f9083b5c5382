"""A command with no more than so much memory.

python -m aquatint.bench.timing.memory_limit data|space BYTES COMMAND...
python -m aquatint.bench.timing.memory_limit group FOLDER COMMAND...
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ...runtime.errors import BadRequest
from .memory_group import memory_group

Kind = Literal["group", "data", "space"]


def limited(
    command: Sequence[str], limit_bytes: int, kind: Kind, timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is kept as text.  One that takes longer is killed, as by Linux.

    What the kinds count, of which only the first is memory as a small device has it:
    group: pages that are there, of all the command's processes, by a control group.  Pages of mapped files count while
        they are there, and Linux drops them before it kills: near the floor weights are read from disk again and
        again, so give a timeout.  Needs the right to make control groups, see memory_group.group_parent.
    data: address space that a process may write to alone (RLIMIT_DATA), touched or not, stacks of threads in full.
        Weights mapped from files do not count, so say their size beside it.
    space: all address space (RLIMIT_AS), mapped weights and what is only set aside too.  More than any device would
        need; CUDA sets aside so much that it fails under every limit.
    The last two hold for each process by itself.
    Raises BadRequest elsewhere than on Linux, or where no control group can be made.
    """
    if sys.platform != "linux":
        raise BadRequest(f"memory is limited on Linux only, this is {sys.platform}")
    if kind != "group":
        return _run(kind, str(limit_bytes), command, timeout_s)
    with memory_group(limit_bytes) as folder:
        return _run(kind, str(folder), command, timeout_s)


def _run(kind: Kind, by: str, command: Sequence[str], timeout_s: float | None) -> subprocess.CompletedProcess[str]:
    # A process that limits itself and then becomes the command: code between fork and exec may hang where threads run.
    limiting = [sys.executable, "-P", "-m", f"{__package__}.memory_limit", kind, by, *command]
    try:
        return subprocess.run(limiting, capture_output=True, text=True, errors="replace", timeout=timeout_s)
    except subprocess.TimeoutExpired as reason:
        said = [part.decode(errors="replace") if isinstance(part, bytes) else part or "" for part in
                (reason.stdout, reason.stderr)]  # fmt: skip
        return subprocess.CompletedProcess(limiting, -signal.SIGKILL, *said)


def _become(kind: str, by: str, command: Sequence[str]) -> None:
    if kind == "group":
        (Path(by) / "cgroup.procs").write_text(str(os.getpid()))
    else:
        import resource

        which = {"data": resource.RLIMIT_DATA, "space": resource.RLIMIT_AS}[kind]
        resource.setrlimit(which, (int(by), int(by)))
    os.execvp(command[0], list(command))


if __name__ == "__main__":
    _become(sys.argv[1], sys.argv[2], sys.argv[3:])
