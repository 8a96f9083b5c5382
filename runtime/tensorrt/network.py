"""A plan, loaded and run on device memory."""

from __future__ import annotations

import logging
import mmap
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from ..cuda.memory import CudaMemory
from ..device.memory import CaptureRefused, Recorded
from ..device.session import Buffers
from ..errors import SessionFailed
from ..manifest import Component
from .package import journal, release
from .ranges import InputRange, fitting

if TYPE_CHECKING:
    import tensorrt as trt

log = logging.getLogger(__name__)


@dataclass
class Prepared:
    """One set of buffers with the context that runs on them; recorded once it has run."""

    context: trt.IExecutionContext
    scratch: int
    recorded: Recorded | None = None


class TensorRTNetwork:
    """An engine with a context for each set of buffers, all of which share the memory's scratch.

    weights: the ONNX that a stripped plan gets its weights from.  graphs: record runs as CUDA graphs.
    weights_budget: most bytes of weights to keep on the GPU, of a plan built for weight streaming; None: all.
    """

    def __init__(
        self,
        trt: ModuleType,
        plan: Path,
        component: Component,
        memory: CudaMemory,
        weights: Path | None = None,
        graphs: bool = True,
        weights_budget: int | None = None,
    ) -> None:
        self._trt, self._component, self._memory, self._graphs = trt, component, memory, graphs
        self._journal = journal(trt)
        self._runtime = trt.Runtime(self._journal.logger)
        self._engine = self._deserialize(plan)
        if weights is not None:
            self._refit(weights)
        self._check_tensors(plan)
        self._limit_weights(weights_budget)
        self._scratch_bytes = int(self._engine.device_memory_size_v2)
        self._sets = self._profiles()
        self._prepared: dict[Buffers, Prepared] = {}

    @property
    def scratch_bytes(self) -> int:
        """Of device memory that a run writes over, whatever the sizes."""
        return self._scratch_bytes

    def enqueue(self, buffers: Buffers) -> None:
        scratch = self._memory.scratch(self, self._scratch_bytes).address
        ready = self._prepared.get(buffers)
        if ready is None:
            # The first run on new memory is not recorded: the engine may still set itself up in it.
            ready = Prepared(self._context(buffers), scratch)
            self._place_scratch(ready, scratch)
            self._execute(ready.context)
            self._prepared[buffers] = ready
            return
        if ready.scratch != scratch:
            self._drop_recording(ready)
            self._place_scratch(ready, scratch)
        elif ready.recorded is None and self._graphs:
            ready.recorded = self._record(ready.context)
        if ready.recorded is not None:
            ready.recorded()
        else:
            self._execute(ready.context)

    def forget(self, buffers: Buffers) -> None:
        ready = self._prepared.pop(buffers, None)
        if ready is not None:
            self._drop_recording(ready)

    def close(self) -> None:
        for buffers in list(self._prepared):
            self.forget(buffers)
        self._memory.leave_scratch(self)
        self.__dict__.pop("_engine", None)
        self.__dict__.pop("_runtime", None)

    def _deserialize(self, plan: Path) -> trt.ICudaEngine:
        # Mapped, not read: TensorRT copies the weights to the GPU, and the file need not be in memory twice.
        if not plan.stat().st_size:
            raise SessionFailed(f"{self._component.name}: {plan.name} is empty")
        with plan.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise SessionFailed(
                f"{self._component.name}: TensorRT {release(self._trt)} can't load {plan.name}: "
                f"{self._journal.take_error()}"
            )
        return engine

    def _refit(self, weights: Path) -> None:
        refitter: trt.Refitter = self._trt.Refitter(self._engine, self._journal.logger)
        parser: trt.OnnxParserRefitter = self._trt.OnnxParserRefitter(refitter, self._journal.logger)
        if not (parser.refit_from_file(str(weights)) and refitter.refit_cuda_engine()):
            errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
            said = " ".join((errors[0] if errors else self._journal.take_error()).split())
            raise SessionFailed(
                f"{self._component.name}: TensorRT can't put the weights of {weights.name} back into the plan: {said}"
            )

    def _check_tensors(self, plan: Path) -> None:
        """Raises SessionFailed for a plan of another network."""
        engine, component = self._engine, self._component
        found = {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            found[name] = _dtype(self._trt, engine.get_tensor_dtype(name))
        wanted = {spec.name: spec.dtype for spec in (*component.inputs, *component.outputs)}
        if found != wanted:
            raise SessionFailed(f"{component.name}: {plan.name} has the tensors {_named(found)}, not {_named(wanted)}")
        hosted = [name for name in found if engine.is_shape_inference_io(name)]
        if hosted:
            raise SessionFailed(f"{component.name}: TensorRT makes shapes of {', '.join(hosted)}, which it must not")

    def _limit_weights(self, budget: int | None) -> None:
        engine = self._engine
        streamable = int(engine.streamable_weights_size)
        if budget is None or not streamable:
            return
        kept = max(0, min(streamable, budget))
        engine.weight_streaming_budget_v2 = kept
        if engine.weight_streaming_budget_v2 != kept:  # setting it says nothing
            raise SessionFailed(f"{self._component.name}: TensorRT can't keep {kept} bytes of weights on the GPU")
        if kept < streamable:
            shown = f"{kept / 1e6:.0f} of {streamable / 1e6:.0f} MB"
            log.info("%s: keeps %s of weights on the GPU and streams the others", self._component.name, shown)
            self._graphs = False  # an execution that streams waits for its weights, which no graph can hold

    def _profiles(self) -> list[dict[str, InputRange]]:
        engine = self._engine
        sets = []
        for index in range(engine.num_optimization_profiles):
            found = {}
            for spec in self._component.inputs:
                shape = tuple(engine.get_tensor_shape(spec.name))
                dynamic = -1 in shape
                sides = engine.get_tensor_profile_shape(spec.name, index) if dynamic else (shape, shape, shape)
                found[spec.name] = InputRange(*(tuple(side) for side in sides))
            sets.append(found)
        return sets

    def _context(self, buffers: Buffers) -> trt.IExecutionContext:
        """A context on the first profile that holds the shapes, its tensors in their places."""
        given = {name: array.shape for name, array in buffers.inputs.items()}
        profile = fitting(self._sets, given)
        if profile is None:
            raise SessionFailed(f"{self._component.name}: the plan was not built for {given}")
        strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._engine.create_execution_context(strategy)
        if context is None:
            raise SessionFailed(f"{self._component.name}: TensorRT makes no context: {self._journal.take_error()}")
        if profile:
            self._choose(context, profile)
        placed = all(context.set_input_shape(name, shape) for name, shape in given.items())
        arrays = {**buffers.inputs, **buffers.outputs}
        placed = placed and all(context.set_tensor_address(name, array.address) for name, array in arrays.items())
        for name, array in buffers.outputs.items():
            placed = placed and tuple(context.get_tensor_shape(name)) == array.shape
        if not placed:
            raise SessionFailed(f"{self._component.name}: TensorRT refuses {given}: {self._journal.take_error()}")
        return context

    def _choose(self, context: trt.IExecutionContext, profile: int) -> None:
        try:
            context.set_optimization_profile_async(profile, int(self._memory.stream))
        except RuntimeError as reason:  # the binding's way to say no
            raise SessionFailed(f"{self._component.name}: TensorRT refuses its profile {profile}: {reason}") from reason

    def _place_scratch(self, ready: Prepared, address: int) -> None:
        ready.context.set_device_memory(address, self._scratch_bytes)
        ready.scratch = address

    def _execute(self, context: trt.IExecutionContext) -> None:
        if not context.execute_async_v3(int(self._memory.stream)):
            raise SessionFailed(f"{self._component.name}: TensorRT failed while running: {self._journal.take_error()}")

    def _record(self, context: trt.IExecutionContext) -> Recorded | None:
        try:
            return self._memory.record(lambda: self._execute(context))
        except CaptureRefused as reason:
            log.info("%s: runs without a CUDA graph: %s", self._component.name, reason)
            self._graphs = False
            return None

    def _drop_recording(self, ready: Prepared) -> None:
        if ready.recorded is not None:
            self._memory.wait()
            ready.recorded.close()
            ready.recorded = None


def engine_memory(trt: ModuleType, plan: bytes, graph: Path) -> dict[str, int]:
    """What a plan takes of the device, as a manifest says it (Component.memory).

    graph: the ONNX that it was built from, whose weights count where the plan has none.
    """
    runtime = trt.Runtime(journal(trt).logger)
    engine = runtime.deserialize_cuda_engine(plan)
    weights = sum(file.stat().st_size for file in graph.parent.glob(f"{graph.name}*"))
    found = {"weights_bytes": max(len(plan), weights)}
    if engine is not None:  # a version-compatible plan is for the lean runtime, and may be refused by the full one
        found["scratch_bytes"] = int(engine.device_memory_size_v2)
    return found


def _dtype(trt: ModuleType, dtype: trt.DataType) -> str:
    try:
        return np.dtype(trt.nptype(dtype)).name
    except TypeError:  # it knows NumPy's own types only
        return str(dtype)


def _named(types: dict[str, str]) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in types.items())
