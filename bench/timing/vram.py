"""How much of an NVIDIA GPU's memory is taken: by NVML, else by nvidia-smi; sampled while a process runs."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from dataclasses import dataclass
from typing import Any, Protocol

from ...runtime.cuda.device import Gpu, bindings, check


@dataclass(frozen=True)
class Reading:
    """Of one moment.  process_bytes: of one process, None where the driver does not tell; used_bytes: of all."""

    process_bytes: int | None
    used_bytes: int


class Meter(Protocol):
    """source: who tells.  interval_s: between two readings, with what one costs in mind."""

    source: str
    interval_s: float

    def read(self, pid: int) -> Reading:
        """Now."""


class Nvml:
    """By nvidia-ml-py.  bus_id: the GPU's place, "0000:01:00.0"; CUDA may count GPUs in another order than NVML."""

    source, interval_s = "NVML", 0.02

    def __init__(self, bus_id: str) -> None:
        import pynvml

        self._nvml = pynvml
        pynvml.nvmlInit()
        self._gpu = pynvml.nvmlDeviceGetHandleByPciBusId(bus_id)
        pynvml.nvmlDeviceGetMemoryInfo(self._gpu)  # a Jetson refuses here

    def read(self, pid: int) -> Reading:
        used = int(self._nvml.nvmlDeviceGetMemoryInfo(self._gpu).used)
        try:
            running = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._gpu)
        except self._nvml.NVMLError:
            running = []
        own = [found.usedGpuMemory for found in running if found.pid == pid and found.usedGpuMemory is not None]
        return Reading(sum(own) if own else None, used)


class Smi:
    """By the program that the driver brings."""

    source, interval_s = "nvidia-smi", 0.3

    def __init__(self, bus_id: str) -> None:
        self._bus_id = bus_id
        self.read(0)

    def read(self, pid: int) -> Reading:
        used = self._ask("--query-gpu=memory.used")
        return Reading(process_bytes(self._ask("--query-compute-apps=pid,used_memory"), pid), int(used) << 20)

    def _ask(self, query: str) -> str:
        command = ["nvidia-smi", query, "--format=csv,noheader,nounits", "-i", self._bus_id]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def process_bytes(listed: str, pid: int) -> int | None:
    """Of nvidia-smi's lines "PID, MiB", those of a process; None where it is not there, or its size is not told."""
    cells = [[cell.strip() for cell in line.split(",")] for line in listed.splitlines() if "," in line]
    own = [int(size) for number, size, *_ in cells if number == str(pid) and size.isdigit()]
    return sum(own) << 20 if own else None


def open_meter(bus_id: str) -> Meter | None:
    """The best there is, or None."""
    for kind in (Nvml, Smi):
        # Without package, library or program, or on a GPU that does not tell.
        with contextlib.suppress(Exception):
            return kind(bus_id)
    return None


def bus_id(gpu: Gpu) -> str:
    """Its place as NVML names it."""
    properties = check(bindings().cudaGetDeviceProperties(gpu.index))
    return f"{properties.pciDomainID:08x}:{properties.pciBusID:02x}:{properties.pciDeviceID:02x}.0"


class Sampling:
    """Reads while a process runs.  Use it as a context manager, from before the process starts."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter
        self._pid, self._stop = 0, threading.Event()
        self._before = None if meter is None else meter.read(0).used_bytes
        self._peak, self._own = 0, 0
        self._latest: Reading | None = None
        self._count = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampling:
        return self

    def begin(self, pid: int) -> None:
        """The process is there."""
        self._pid = pid
        if self._meter is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def now(self) -> dict[str, Any]:
        """The last reading, for a line of a log."""
        if self._latest is None or self._before is None:
            return {}
        growth = self._latest.used_bytes - self._before
        return {"vram_process_bytes": self._latest.process_bytes, "vram_growth_bytes": growth}

    def summary(self) -> dict[str, Any] | None:
        """The peaks.

        process_bytes: as the driver counts the process, with its context; None where it does not tell, as in
        containers.  growth_bytes: what all of the GPU had more than before the process.
        """
        if self._meter is None or self._before is None or not self._count:
            return None
        return {
            "source": self._meter.source,
            "process_bytes": self._own or None,
            "growth_bytes": self._peak - self._before,
            "before_bytes": self._before,
            "readings": self._count,
        }

    def _run(self) -> None:
        assert self._meter is not None
        while not self._stop.is_set():
            with contextlib.suppress(Exception):  # one that failed is one less
                found = self._latest = self._meter.read(self._pid)
                self._count += 1
                self._peak = max(self._peak, found.used_bytes)
                self._own = max(self._own, found.process_bytes or 0)
            self._stop.wait(self._meter.interval_s)
