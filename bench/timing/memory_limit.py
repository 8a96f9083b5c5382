"""A command with no more than so much memory.

python -m aquatint.bench.timing.memory_limit data|space BYTES COMMAND...
python -m aquatint.bench.timing.memory_limit group FOLDER COMMAND...
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...runtime.errors import BadRequest
from .memory_group import memory_group

Kind = Literal["group", "data", "space"]


@dataclass(frozen=True)
class Limit:
    """kind: what is counted, of which only the first is memory as a small device has it.

    group: pages that are there, of all the process's children too, by a control group.  Pages of mapped files count
        while they are there, and Linux drops them before it kills: near the floor weights are read from disk again and
        again, so set a time.  Needs the right to make control groups, see memory_group.group_parent.
    data: address space that a process may write to alone (RLIMIT_DATA), touched or not, stacks of threads in full.
        Weights mapped from files do not count, so say their size beside it.
    space: all address space (RLIMIT_AS), mapped weights and what is only set aside too.  More than any device would
        need; CUDA sets aside so much that it fails under every limit.
    The last two hold for each process by itself.
    """

    size_bytes: int
    kind: Kind


@contextmanager
def limiting(limit: Limit | None) -> Iterator[list[str]]:
    """What to put before a command so that it runs under the limit, while this context lasts; nothing for None.

    Raises BadRequest elsewhere than on Linux, or where no control group can be made.
    """
    if limit is None:
        yield []
        return
    if sys.platform != "linux":
        raise BadRequest(f"memory is limited on Linux only, this is {sys.platform}")
    # A process that limits itself and then becomes the command: code between fork and exec may hang where threads run.
    become = [sys.executable, "-P", "-m", f"{__package__}.memory_limit", limit.kind]
    if limit.kind != "group":
        yield [*become, str(limit.size_bytes)]
        return
    with memory_group(limit.size_bytes) as folder:
        yield [*become, str(folder)]


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
