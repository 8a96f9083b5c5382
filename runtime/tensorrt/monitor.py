"""A build that reports how far it is, and can be stopped."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from types import ModuleType
from typing import TYPE_CHECKING

from ..session import BuildStep

if TYPE_CHECKING:
    import tensorrt as trt

POLL_S = 0.2  # how soon Ctrl-C is seen: the build itself runs in another thread, in C++


class Phases:
    """Where TensorRT's phases are told; `stop` makes the build end at its next step."""

    monitor: trt.IProgressMonitor

    def __init__(self, trt: ModuleType) -> None:
        self.steps: queue.SimpleQueue[BuildStep] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._totals: dict[str, int] = {}
        ours = self

        class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined]
            def __init__(self) -> None:
                trt.IProgressMonitor.__init__(self)

            def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
                ours.begin(phase_name, num_steps)

            def phase_finish(self, phase_name: str) -> None:
                pass

            def step_complete(self, phase_name: str, step: int) -> bool:
                return ours.tell(phase_name, step)

        self.monitor = Monitor()

    def begin(self, phase: str, steps: int) -> None:
        """A phase of so many steps begins."""
        self._totals[phase] = steps
        self.steps.put(BuildStep(phase, 0, steps))

    def tell(self, phase: str, step: int) -> bool:
        """A step of a phase, counted from 0, is done; whether the build may go on."""
        self.steps.put(BuildStep(phase, step + 1, self._totals.get(phase, step + 1)))
        return not self._stopped.is_set()

    def stop(self) -> None:
        """Ask the build to end."""
        self._stopped.set()


def watched(work: Callable[[], bytes | None], phases: Phases) -> Generator[BuildStep, None, bytes | None]:
    """Do the work in another thread, yielding its steps; it is stopped, and waited for, where the generator is closed.

    A signal reaches Python in the main thread only, and not while that one is inside of TensorRT.
    """
    result: list[bytes | None] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as reason:  # raised again below, in the thread that asked
            failed.append(reason)

    thread = threading.Thread(target=run, name="tensorrt-build")
    thread.start()
    try:
        while thread.is_alive() or not phases.steps.empty():
            try:
                yield phases.steps.get(timeout=POLL_S)
            except queue.Empty:
                continue
    finally:
        phases.stop()
        thread.join()
    if failed:
        raise failed[0]
    return result[0]
