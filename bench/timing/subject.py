"""A subject of a measurement: its process, and what it says."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ...runtime.errors import Error
from ...runtime.record import from_table, to_table
from .call import Call
from .command import command_of
from .measured import Load, Opened, Sample, Vram
from .memory import MemoryUse, MemoryWatch
from .memory_limit import Limit, limiting
from .order import Order
from .protocol import DEVICE_MEMORY, GO, SHAPES, Ask
from .vram import Meter, Sampling

Record = TypeVar("Record")


class WorkerFailed(Error):
    """A subject could not be opened or run in its process; the message says which and why."""


class Refused(Error):
    """A subject can't print this call, but goes on; the message says why."""


class Subject:
    """A process that prints.  Use it as a context manager: the process ends with it.

    first: the call that comes first.  limit: of its memory.  meter: of the GPU that it may use.
    failed: why the process is no more; open begins another.  memory, vram: of the first process, once it is closed.
    """

    def __init__(self, order: Order, first: Call, limit: Limit | None = None, meter: Meter | None = None) -> None:
        self.order = order
        self._first, self._limit, self._meter = first, limit, meter
        self._stack = contextlib.ExitStack()
        self.memory: MemoryUse | None = None
        self.vram: Vram | None = None
        self.failed: str | None = None
        self.opened: Opened | None = None
        self.load: Load | None = None
        self.first_picture_s: float | None = None

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def open(self) -> Load:
        """Start it, and wait until it is loaded.  Raises WorkerFailed."""
        self.failed = None
        prefix = self._stack.enter_context(limiting(self._limit))
        sampling = self._stack.enter_context(Sampling(self._meter))
        said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - the stack closes it
        self._said = self._stack.enter_context(said)
        self._start = time.perf_counter()
        self._process = subprocess.Popen(
            [*prefix, *command_of(self.order, self._first)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=self._said, encoding="utf-8", errors="replace",
            start_new_session=True,  # Ctrl-C is for us
        )  # fmt: skip
        sampling.begin(self._process.pid)
        self._memory = MemoryWatch(self._process.pid, bundle=Path(self.order.folder))
        self._memory.start("load")
        self._stack.callback(self._end, sampling)
        with contextlib.suppress(OSError):  # where memory runs out it is to go before all else
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("1000")
        self.opened = self._read(Opened)
        self.load = Load(time.perf_counter() - self._start, self.opened.load_s)
        self._memory.mark("first picture")
        return self.load

    def close(self) -> None:
        """End the process."""
        self._stack.close()

    def kill(self) -> None:
        """End it at once; from another thread, who waits for it is told that it ended."""
        self._process.kill()

    def take(self, call: Call, save: Path | None = None) -> Sample:
        """One call.  Raises WorkerFailed, after which the process has ended, and Refused."""
        self._write(json.dumps(to_table(Ask(call, None if save is None else str(save)))))
        sample = self._read(Sample)
        if self.first_picture_s is None:
            self.first_picture_s = time.perf_counter() - self._start
        return sample

    def settle(self) -> None:
        """The pictures from here on are those that count, and their memory is the steady one."""
        self._memory.mark("pictures")
        self._memory.settle()

    def take_stages(self, call: Call) -> None:
        """One call, of which each component is a stage of its memory.  Its time means nothing."""
        self._write(json.dumps(to_table(Ask(call, stages=True))))
        self._read(Sample, self._memory.mark)

    def device_memory(self) -> dict[str, int]:
        """What a bundle's engine counts of its device's memory, in bytes by its own words; empty where it does not."""
        self._write(DEVICE_MEMORY)
        return self._line()

    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Of the inputs in the last call of each component, by component and input."""
        self._write(SHAPES)
        told = self._line()
        return {name: {of: tuple(shape) for of, shape in inputs.items()} for name, inputs in told.items()}

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError as reason:
            raise self._ended() from reason

    def _read(self, cls: type[Record], entering: Callable[[str], None] | None = None) -> Record:
        while "entering" in (table := self._line()):
            assert entering is not None
            entering(table["entering"])
            self._write(GO)
        return from_table(cls, table, "the worker", WorkerFailed)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        table: dict[str, Any] = json.loads(line)
        if "refused" in table:
            raise Refused(f"{self.order.name}: {table['refused']}")
        if "error" in table:
            raise self._fail(table["error"])
        return table

    def _ended(self) -> WorkerFailed:
        code = self._process.wait()
        if code >= 0:
            self._said.seek(0)
            last = next((line.strip() for line in reversed(self._said.readlines()) if line.strip()), "it said nothing")
            return self._fail(f"its process ended with code {code}: {last}")
        killed = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        memory = ", as Linux does where memory runs out" if killed == "SIGKILL" else ""
        return self._fail(f"its process was killed by {killed}{memory}")

    def _fail(self, why: str) -> WorkerFailed:
        self.failed = f"{self.order.name}: {why}"
        self._stack.close()
        return WorkerFailed(self.failed)

    def _end(self, sampling: Sampling) -> None:
        use, told = self._memory.stop(), sampling.summary()
        if self.memory is None:
            self.memory = use
            self.vram = Vram(told["source"], told["process_bytes"], told["growth_bytes"]) if told else None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
