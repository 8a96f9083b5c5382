"""The stand-in's half that runs: runtime, engine, refitter."""

from __future__ import annotations

import contextlib
import mmap
import weakref
from typing import Any

import numpy as np
import onnx

from .machine import DEVICE
from .tensorrt_context import IExecutionContext
from .tensorrt_native import IHostMemory, Native, Severity, Virtual
from .tensorrt_plan import engine_of, unpack, weights_of

__all__ = ["IHostMemory"]  # of this half too
FIRST_AMPERE = 80


class ILogger(Virtual):
    """Where messages go."""

    Severity = Severity
    INTERNAL_ERROR, ERROR, WARNING = Severity.INTERNAL_ERROR, Severity.ERROR, Severity.WARNING
    INFO, VERBOSE = Severity.INFO, Severity.VERBOSE


class Dims(Native):
    """Sizes; no tuple."""

    def __init__(self, shape: Any) -> None:
        self._sizes = tuple(shape)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: int) -> int:
        return self._sizes[index]

    def __eq__(self, other: object) -> bool:
        same: Any = other
        return isinstance(other, Dims | tuple | list) and self._sizes == tuple(same)

    __hash__ = None  # type: ignore[assignment]


class Runtime(Native):
    """Opens plans."""

    def __init__(self, logger: Any) -> None:
        self._own(logger, "ILogger")
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine | None:
        if not isinstance(serialized_engine, bytes | bytearray | memoryview | mmap.mmap):
            raise TypeError(f"incompatible argument {type(serialized_engine).__name__}, which must be a buffer")
        found = unpack(bytes(serialized_engine))
        if found is None:
            self._error("IRuntime::deserializeCudaEngine: the plan is not whole")
            return None
        header, graph = found
        problem = self._refuses(header)
        if problem:
            self._error(problem)
            return None
        engine = self._module.ICudaEngine(self._logger, header, graph)
        if not engine._place():
            self._error(f"[defaultAllocator] Allocation of {engine._weights_size} bytes failed: out of memory")
            return None
        self._here.engines.add(engine)
        return engine

    def _refuses(self, header: Any) -> str:
        here = self._module.__version__
        architecture = self._here.machine.architecture
        if self._module.__name__ == "tensorrt_lean" and not header.version_compatible:
            return "the lean runtime runs version-compatible plans alone"
        built, now = (tuple(map(int, version.split("."))) for version in (header.version, here))
        # NVIDIA: what makes a plan run on later releases is the lean runtime of its own, which it carries, or which is
        # loaded "of the same version" where it was left out; the full one can't run such a plan by itself.
        if built != now:
            return f"the plan was made with version {header.version}, expecting {here}; please rebuild"
        if self._module.__name__ == "tensorrt" and header.version_compatible and not header.has_lean_runtime:
            return "the plan is version-compatible and carries no lean runtime, so that one must be loaded for it"
        if header.hardware == "AMPERE_PLUS":
            if architecture < FIRST_AMPERE:
                return "the plan is for Ampere and later"
        elif header.architecture != architecture:
            return f"the plan is of an incompatible device: compute {header.architecture}, expecting {architecture}"
        return ""


class ICudaEngine(Native):
    """A plan, loaded."""

    def __init__(self, logger: Any, header: Any, graph: bytes) -> None:
        self._logger, self._header, self._graph = logger, header, graph
        self._tensors = {name: (dtype, dims, inner) for name, dtype, dims, inner in header.tensors}
        self._weights_size = sum(len(weight.raw_data) for weight in weights_of(onnx.load_from_string(graph)))
        self._budget = self._weights_size
        self._weights: int | None = None
        self._contexts: weakref.WeakSet[IExecutionContext] = weakref.WeakSet()
        self._shapes_known: dict[Any, dict[str, tuple[int, ...]]] = {}

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # where it was not made whole
            self._unplace()

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self._header.profiles))

    @property
    def refittable(self) -> bool:
        return self._header.refittable

    @property
    def streamable_weights_size(self) -> int:
        return self._weights_size if self._header.streaming else 0

    @property
    def device_memory_size_v2(self) -> int:
        return self._header.scratch + self._streaming_scratch

    @property
    def weight_streaming_scratch_memory_size(self) -> int:
        return self._streaming_scratch

    @property
    def weight_streaming_budget_v2(self) -> int:
        return self._budget if self._header.streaming else 0

    @weight_streaming_budget_v2.setter
    def weight_streaming_budget_v2(self, budget: int) -> None:
        # The binding drops the answer of C++: what is refused is in the log alone.
        if not self._header.streaming:
            self._error("setWeightStreamingBudgetV2: the engine was not built with kWEIGHT_STREAMING")
        elif len(self._contexts):
            self._error("setWeightStreamingBudgetV2: the budget cannot be modified while there are active contexts")
        elif budget < 0:
            self._error("setWeightStreamingBudgetV2: the budget must be a non-negative value")
        else:
            self._unplace()
            self._budget = int(budget)
            if not self._place_weights():
                self._error("setWeightStreamingBudgetV2: out of memory")

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> Any:
        modes = self._module.TensorIOMode
        if name not in self._tensors:
            return modes.NONE
        return modes.INPUT if self._tensors[name][2] else modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self._module.DataType[self._tensors[name][0]]

    def get_tensor_shape(self, name: str) -> Dims:
        return self._module.Dims(self._tensors[name][1])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        assert name in self._tensors
        assert self._tensors[name][2], "profiles know inputs alone"
        if not 0 <= profile_index < len(self._header.profiles):
            return [self._module.Dims(())] * 3
        dims = self._tensors[name][1]
        return [self._module.Dims(side) for side in self._header.profiles[profile_index].get(name, [dims] * 3)]

    def is_shape_inference_io(self, name: str) -> bool:
        return name in self._here.shape_inputs

    def create_execution_context(self, strategy: Any = None) -> IExecutionContext | None:
        if strategy is None:
            strategy = self._module.ExecutionContextAllocationStrategy.STATIC
        self._own(strategy, "ExecutionContextAllocationStrategy")
        assert strategy.name == "USER_MANAGED", "this stand-in's contexts have no memory of their own"
        if self._weights is None and not self._place_weights():
            self._error("createExecutionContext: out of memory")
            return None
        made = self._module.IExecutionContext(self)
        self._contexts.add(made)
        return made

    @property
    def _streams(self) -> bool:
        return self._header.streaming and self._budget < self._weights_size

    @property
    def _streaming_scratch(self) -> int:
        return -(-self._weights_size // 8 // 256) * 256 + 4096 if self._streams else 0

    def _place(self) -> bool:
        """Weights that may stream stay on the host until a budget is set or a context made."""
        return self._header.streaming or self._place_weights()

    def _place_weights(self) -> bool:
        kept = min(self._budget, self._weights_size) if self._header.streaming else self._weights_size
        self._weights = self._here.machine.allocate(kept, DEVICE, "tensorrt weights")
        return self._weights is not None

    def _unplace(self) -> None:
        if self._weights is not None:
            self._here.machine.release(self._weights)
            self._weights = None

    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = [name for name, (_, _, inner) in self._tensors.items() if not inner]
        return dict(zip(outputs, engine_of(self._graph).run(outputs, feeds), strict=True))

    def _output_shapes(self, given: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        key = tuple(sorted(given.items()))
        if key not in self._shapes_known:
            zeros = {name: np.zeros(shape, self._dtype(name)) for name, shape in given.items()}
            self._shapes_known[key] = {name: found.shape for name, found in self._run(zeros).items()}
        return self._shapes_known[key]

    def _dtype(self, name: str) -> np.dtype:
        return np.dtype(self._module.nptype(self.get_tensor_dtype(name)))


class Refitter(Native):
    """Puts weights into an engine."""

    def __init__(self, engine: Any, logger: Any) -> None:
        self._own(engine, "ICudaEngine")
        self._own(logger, "ILogger")
        self._engine, self._logger = engine, logger
        self._given: bytes | None = None

    def refit_cuda_engine(self) -> bool:
        if self._given is None or not self._engine.refittable:
            self._error("refitCudaEngine: weights are missing, or the engine is not refittable")
            return False
        self._engine._graph = self._given
        return True
