"""A bundle that is measured: its process, and what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...runtime.errors import Error
from ...runtime.record import from_table, to_table
from .memory import MemoryUse, MemoryWatch
from .picture import Sample
from .worker import TAKE, Opened, Order


class WorkerFailed(Error):
    """A bundle could not be opened or run in its process; the message says which and why."""


@dataclass(frozen=True)
class Measured:
    """All that was measured of one bundle.

    first_picture_s: from the start of its process to its first picture, of the job's steps, with all that is loaded for
    it.  samples: of the pictures after the warm-up.
    """

    bundle: str
    target: str
    profile: str
    load_s: float
    first_picture_s: float
    samples: tuple[Sample, ...]
    memory: MemoryUse


class Subject:
    """A worker process.  Use it as a context manager: the process ends with it."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._samples: list[Sample] = []
        self._start = time.perf_counter()
        command = [sys.executable, "-P", "-m", f"{__package__}.worker", json.dumps(to_table(order))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,  # Ctrl-C is for us
        )  # fmt: skip
        self._memory = MemoryWatch(self._process.pid, bundle=Path(order.job.bundle))
        self._memory.start("load")

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def name(self) -> str:
        """The bundle's folder."""
        return self._order.job.bundle

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    @property
    def samples(self) -> list[Sample]:
        """Of the pictures so far, the first, which warms up, left out."""
        return self._samples

    def open(self) -> None:
        """Wait until the bundle is loaded, and print the first picture.  Raises WorkerFailed."""
        self._opened = from_table(Opened, self._answer(), "the worker", WorkerFailed)
        self._memory.mark("pictures")
        self._ask()
        self._first_picture_s = time.perf_counter() - self._start
        self._memory.settle()

    def take(self) -> Sample:
        """One more picture.  Raises WorkerFailed."""
        self._samples.append(self._ask())
        return self._samples[-1]

    def finish(self) -> Measured:
        """What was measured."""
        return Measured(
            self.name, self._opened.target, self._opened.profile, self._opened.load_s, self._first_picture_s,
            tuple(self._samples), self._memory.stop(),
        )  # fmt: skip

    def _ask(self) -> Sample:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(TAKE + "\n")
            self._process.stdin.flush()
        except OSError as reason:
            raise WorkerFailed(f"{self.name}: its process ended with code {self._process.wait()}") from reason
        return from_table(Sample, self._answer(), "the worker", WorkerFailed)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"{self.name}: its process ended with code {self._process.wait()}")
        table: dict[str, Any] = json.loads(line)
        if "error" in table:
            raise WorkerFailed(f"{self.name}: {table['error']}")
        return table
