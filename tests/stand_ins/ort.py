"""ONNX Runtime's CPU provider in the place of one that works on a stream of a Machine's."""

from __future__ import annotations

from typing import Any

from .machine import Machine

GRAPH_ID = "gpu_graph_id"


class Queued:
    """An InferenceSession whose runs wait until the stream is waited for.

    runs: the graph id and whether it synchronizes, of each run.  fails: as often as this, a run does.
    """

    def __init__(self, session: Any, machine: Machine, stream: Any) -> None:
        self._session, self._machine, self._stream = session, machine, int(stream)
        self.runs: list[tuple[str | None, bool]] = []
        self.fails = 0

    def io_binding(self) -> Any:
        """Of memory that the CPU can read: the Machine's is."""
        return self._session.io_binding()

    def run_with_iobinding(self, binding: Any, options: Any) -> None:
        """Ask for a run."""
        if self.fails:
            self.fails -= 1
            raise RuntimeError("the CUDA graph can't be captured")
        synchronizes = _entry(options, "disable_synchronize_execution_providers") != "1"
        self.runs.append((_entry(options, GRAPH_ID), synchronizes))
        self._machine.enqueue(self._stream, lambda: self._session.run_with_iobinding(binding))


def _entry(options: Any, name: str) -> str | None:
    try:
        found: str = options.get_run_config_entry(name)
    except RuntimeError:  # nothing of that name was added
        return None
    return found
