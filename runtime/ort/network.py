"""A model of ONNX Runtime, bound to arrays that stay where they are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from ..device.memory import Array, Memory
from ..device.session import Buffers
from ..errors import SessionFailed
from ..manifest import Component

log = logging.getLogger(__name__)

GRAPH_ID = "gpu_graph_id"  # of a run: which recording it makes, and later launches
UNSYNCHRONIZED = "disable_synchronize_execution_providers"


class OrtNetwork:
    """A model whose provider works on the memory's stream.

    load: makes the InferenceSession, with or without its runs recorded as CUDA graphs, one for each set of buffers.
    recorded: whether to try; what can't be recorded runs as it is.
    """

    def __init__(self, load: Callable[[bool], Any], component: Component, memory: Memory, recorded: bool) -> None:
        self._load, self._component, self._memory, self._recorded = load, component, memory, recorded
        self._runs: dict[Buffers, tuple[Any, Any]] = {}
        self._count = 0
        refused = ""
        try:
            self._model = load(recorded)
        except SessionFailed as reason:
            if not recorded:
                raise
            refused = str(reason)
        if refused:
            self._load_plain(refused)

    def enqueue(self, buffers: Buffers) -> None:
        first, refused = buffers not in self._runs, ""
        try:
            self._run(buffers)
        except SessionFailed as reason:
            if not (first and self._recorded):
                raise
            refused = str(reason)  # not the error itself, which holds on to the model
        if refused:
            self._load_plain(refused)
            self._run(buffers)

    def forget(self, buffers: Buffers) -> None:
        self._runs.pop(buffers, None)

    def close(self) -> None:
        self._runs.clear()
        self._model = None

    def _load_plain(self, reason: str) -> None:
        log.info("%s: runs without a CUDA graph: %s", self._component.name, reason)
        self._memory.wait()
        self._runs.clear()
        self._recorded = False
        self._model = None  # before the next is there: both may not fit
        self._model = self._load(False)

    def _run(self, buffers: Buffers) -> None:
        if buffers not in self._runs:
            self._runs[buffers] = self._bind(buffers), self._options()
        binding, options = self._runs[buffers]
        try:
            self._model.run_with_iobinding(binding, options)
        except Exception as reason:  # its errors share no class but Exception
            raise SessionFailed(f"{self._component.name}: ONNX Runtime failed while running: {reason}") from reason

    def _bind(self, buffers: Buffers) -> Any:
        binding = self._model.io_binding()
        self._place(buffers.inputs, binding.bind_input)
        self._place(buffers.outputs, binding.bind_output)
        return binding

    def _place(self, arrays: Mapping[str, Array], bind: Any) -> None:
        for name, array in arrays.items():
            bind(name, self._memory.device, 0, array.dtype.type, array.shape, array.address)

    def _options(self) -> Any:
        import onnxruntime

        options = onnxruntime.RunOptions()
        # The memory waits when something is read, not the engine after each call.
        options.add_run_config_entry(UNSYNCHRONIZED, "1")
        if self._recorded:
            self._count += 1
            options.add_run_config_entry(GRAPH_ID, str(self._count))
        return options
