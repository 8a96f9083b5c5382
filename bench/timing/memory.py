"""The memory of a process over a run: its peak, what it settles at, and the stages that made it."""

from __future__ import annotations

import os
import statistics
import threading
from dataclasses import dataclass, field
from pathlib import Path

from ..process_memory import PROC, status_bytes
from .mappings import Parts, bundle_files, resident_parts

FORGET_PEAK = b"5"  # what clear_refs takes it by, since Linux 4.0


@dataclass(frozen=True)
class StageMemory:
    """The most that was resident during one stage, in bytes, and what it was made of at its end.

    peak: by the kernel's own count where `exact`, otherwise the largest of the samples, which miss what is short.
    anonymous, files: the largest of the samples, which need not be of one moment.
    """

    name: str
    peak: int | None
    exact: bool
    anonymous: int | None
    files: int | None
    parts: Parts | None


@dataclass(frozen=True)
class MemoryUse:
    """In bytes; None where the system does not tell, which is all but Linux.

    peak: of resident memory in the process's whole life.  steady, steady_anonymous: the medians of the samples since
    it had settled.
    """

    peak: int | None
    steady: int | None
    steady_anonymous: int | None
    stages: tuple[StageMemory, ...]


class MemoryWatch:
    """Samples a process of this machine in a thread of its own, and so best from another process.

    every_s: between samples, each of which reads one small file.  bundle: the folder whose files are its weights.
    The kernel's count of the peak (VmHWM) begins anew with every stage, for all who read it.
    """

    def __init__(self, pid: int, every_s: float = 0.05, bundle: Path | None = None, proc: Path = PROC) -> None:
        self._pid, self._every_s, self._proc = pid, every_s, proc
        self._weights = frozenset[str]() if bundle is None else bundle_files(bundle)
        self._stages: list[StageMemory] = []
        self._stage: _Stage | None = None
        self._peaks: list[int] = []
        self._settled: list[tuple[int, int | None]] | None = None
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"memory of {pid}", daemon=True)

    def start(self, stage: str) -> None:
        """Begin to sample, in the stage of that name."""
        with self._lock:
            self._begin(stage)
        self._thread.start()

    def mark(self, stage: str) -> None:
        """End the stage and begin another.  Not while something is timed: it reads all of the process's mappings."""
        with self._lock:
            self._finish()
            self._begin(stage)

    def settle(self) -> None:
        """From now on samples count as steady: the first picture is there."""
        with self._lock:
            self._settled = []
            self._sample()

    def stop(self) -> MemoryUse:
        """End the last stage, and the thread.  Call it while the process still runs, or its end is not seen."""
        self._end.set()
        self._thread.join()
        with self._lock:
            self._finish()
        settled = self._settled or []
        anonymous = [own for _, own in settled if own is not None]
        return MemoryUse(
            peak=max(self._peaks, default=None),
            steady=int(statistics.median(resident for resident, _ in settled)) if settled else None,
            steady_anonymous=int(statistics.median(anonymous)) if anonymous else None,
            stages=tuple(self._stages),
        )

    def _watch(self) -> None:
        while not self._end.wait(self._every_s):
            with self._lock:
                self._sample()

    def _begin(self, name: str) -> None:
        self._stage = _Stage(name)
        self._sample()  # also keeps the peak so far
        self._stage.exact = self._forget_peak()

    def _finish(self) -> None:
        stage = self._stage
        if stage is None:
            return
        self._sample()
        parts = resident_parts(self._pid, self._weights, self._proc)
        self._stages.append(
            StageMemory(
                stage.name, max(stage.peaks if stage.exact else stage.resident, default=None),
                stage.exact, max(stage.anonymous, default=None), max(stage.files, default=None), parts,
            )
        )  # fmt: skip
        self._stage = None

    def _sample(self) -> None:
        stage, told = self._stage, status_bytes(self._pid, self._proc)
        if stage is None or "VmRSS" not in told:
            return
        stage.resident.append(told["VmRSS"])
        for key, into in (("RssAnon", stage.anonymous), ("RssFile", stage.files), ("VmHWM", self._peaks)):
            if key in told:
                into.append(told[key])
        if stage.exact and "VmHWM" in told:
            stage.peaks.append(told["VmHWM"])
        if self._settled is not None:
            self._settled.append((told["VmRSS"], told.get("RssAnon")))

    def _forget_peak(self) -> bool:
        """Whether the kernel counts the peak from now on; it may not be allowed, or not built in."""
        try:
            # Opened as it is: Path.write_text would make the file where it is not there.
            file = os.open(self._proc / str(self._pid) / "clear_refs", os.O_WRONLY)
        except OSError:
            return False
        try:
            os.write(file, FORGET_PEAK)
        except OSError:
            return False
        finally:
            os.close(file)
        return True


@dataclass
class _Stage:
    """A stage that goes on: its samples."""

    name: str
    exact: bool = False
    peaks: list[int] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    anonymous: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
