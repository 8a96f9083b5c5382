"""The stand-in's half that builds: builder, network, configuration, timing cache."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import onnx

from .tensorrt_native import IHostMemory, Native, Virtual
from .tensorrt_plan import Header, pack, without_weights

TYPED_ONLY = (11, 0)
STEPS = 3  # of each phase
CACHE_MAGIC = "timings"


class IProgressMonitor(Virtual):
    """Told how far a build is."""


class Builder(Native):
    """Makes the other objects, and builds."""

    def __init__(self, logger: Any) -> None:
        self._own(logger, "ILogger")
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        if not isinstance(flags, int):
            raise TypeError(f"flags is {flags!r}")
        return self._module.INetworkDefinition(flags)

    def create_builder_config(self) -> IBuilderConfig:
        return self._module.IBuilderConfig(self._logger)

    def create_optimization_profile(self) -> IOptimizationProfile:
        return self._module.IOptimizationProfile()

    def build_serialized_network(self, network: Any, config: Any) -> IHostMemory | None:
        self._own(network, "INetworkDefinition")
        self._own(config, "IBuilderConfig")
        here, build = self._here, config._record()
        here.builds.append(build)
        problem = here.refuses_to_build or self._problem(network, config)
        if problem:
            self._error(problem)
            return None
        if not self._work(config._monitor, config._cache, network, build):
            build.cancelled = True
            return None
        return self._module.IHostMemory(self._plan(network, config))

    def _problem(self, network: Any, config: Any) -> str:
        """Why this can't be built, or nothing."""
        if network._model is None:
            return "Network must have at least one output"
        if self._number < TYPED_ONLY and not network._flags >> 1 & 1:
            return "this stand-in has no precisions of its own: the network must be strongly typed"
        dynamic = {name: dims for name, _, dims, is_input in network._tensors if is_input and -1 in dims}
        if dynamic and not config._profiles:
            return "Network has dynamic or shape inputs, but no optimization profile has been defined."
        for profile in config._profiles:
            for name, dims in dynamic.items():
                sides = profile._shapes.get(name)
                if sides is None:
                    return f"optimization profile is missing values for input {name}"
                agreed = all(dim in (-1, at) for side in sides for dim, at in zip(dims, side, strict=True))
                if not agreed:
                    return f"optimization profile of {name}: {sides} are inconsistent with {dims}"
        refittable = config._has("REFIT") or config._has("STRIP_PLAN") or config._has("REFIT_IDENTICAL")
        if refittable and len(config._profiles) > 1:
            return "more than a single optimization profile are not supported for refittable engines"
        if config._hardware.name == "AMPERE_PLUS" and self._here.machine.architecture < 80:
            return "AMPERE_PLUS needs a GPU of Ampere or later"
        return ""

    def _work(self, monitor: Any, cache: Any, network: Any, build: Any) -> bool:
        """Whether it was let go on to the end."""
        kernels = sorted({node.op_type for node in network._model.graph.node})
        whole = "Building Engine from Network"
        self._tell(monitor, "phase_start", whole, None, STEPS)
        for step in range(STEPS):
            phase = f"Timing {step}"
            self._tell(monitor, "phase_start", phase, whole, STEPS)
            for inner in range(STEPS):
                time.sleep(self._here.step_s)
                if not self._tell(monitor, "step_complete", phase, inner):
                    return False
            self._tell(monitor, "phase_finish", phase)
            if not self._tell(monitor, "step_complete", whole, step):
                return False
        self._tell(monitor, "phase_finish", whole)
        known = set() if cache is None else cache._entries
        build.timed = len(set(kernels) - known)
        known.update(kernels)
        return True

    def _tell(self, monitor: Any, what: str, *told: Any) -> bool:
        if monitor is None:
            return True
        answer = getattr(monitor, what)(*told)
        return what != "step_complete" or bool(answer)

    def _plan(self, network: Any, config: Any) -> bytes:
        machine, model = self._here.machine, network._model
        stripped = config._has("STRIP_PLAN")
        lean = config._has("VERSION_COMPATIBLE") and not config._has("EXCLUDE_LEAN_RUNTIME")
        profiles = [profile._shapes for profile in config._profiles]
        header = Header(
            version=self._module.__version__,
            architecture=machine.architecture,
            card=machine.cards[0].name,
            hardware=config._hardware.name,
            version_compatible=config._has("VERSION_COMPATIBLE"),
            has_lean_runtime=lean,
            stripped=stripped,
            refittable=stripped or config._has("REFIT") or config._has("REFIT_IDENTICAL"),
            streaming=config._has("WEIGHT_STREAMING"),
            scratch=_scratch(network._tensors, profiles),
            tensors=network._tensors,
            profiles=profiles,
        )
        return pack(header, (without_weights(model) if stripped else model).SerializeToString())


class INetworkDefinition(Native):
    """What a parser fills."""

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._model: onnx.ModelProto | None = None
        self._tensors: list[Any] = []

    @property
    def num_inputs(self) -> int:
        """How many."""
        return len(self._inputs())

    def get_input(self, index: int) -> ITensor:
        return self._module.ITensor(*self._inputs()[index])

    def _inputs(self) -> list[Any]:
        return [(name, dtype, dims) for name, dtype, dims, is_input in self._tensors if is_input]


class ITensor(Native):
    """An input."""

    def __init__(self, name: str, dtype: str, dims: list[int]) -> None:
        self._name, self._dtype, self._dims = name, dtype, dims

    @property
    def name(self) -> str:
        return self._name

    @property
    def dtype(self) -> Any:
        return self._module.DataType[self._dtype]

    @property
    def shape(self) -> Any:
        return self._module.Dims(self._dims)


class IOptimizationProfile(Native):
    """Shapes that an engine is made for."""

    def __init__(self) -> None:
        self._shapes: dict[str, Any] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        sides = tuple(tuple(int(size) for size in side) for side in (min, opt, max))
        if len({len(side) for side in sides}) != 1:
            raise ValueError("Shape provided for min is inconsistent with other shapes.")
        self._shapes[input] = sides

    def get_shape(self, input: str) -> list[Any]:
        return [self._module.Dims(side) for side in self._shapes[input]]

    def __bool__(self) -> bool:
        return all(
            0 <= least <= usual <= most
            for sides in self._shapes.values()
            for least, usual, most in zip(*sides, strict=True)
        )


class IBuilderConfig(Native):
    """How to build."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._flags = {"TF32"}  # the one that is on by default
        self._pools: dict[str, int] = {}
        self._level = 3
        self._hardware = self._module.HardwareCompatibilityLevel.NONE
        self._profiles: list[IOptimizationProfile] = []
        self._monitor: Any = None
        self._cache: Any = None

    def set_flag(self, flag: Any) -> None:
        self._own(flag, "BuilderFlag")
        self._flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self._own(flag, "BuilderFlag")
        self._flags.discard(flag.name)

    def get_flag(self, flag: Any) -> bool:
        self._own(flag, "BuilderFlag")
        return flag.name in self._flags

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._own(pool, "MemoryPoolType")
        self._pools[pool.name] = int(pool_size)

    def get_memory_pool_limit(self, pool: Any) -> int:
        return self._pools.get(pool.name, self._here.machine.total_bytes)

    def add_optimization_profile(self, profile: Any) -> int:
        self._own(profile, "IOptimizationProfile")
        if not profile:
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None:
        content = bytes(memoryview(serialized_timing_cache))
        if not content:
            machine = self._here.machine
            return self._module.ITimingCache(self._module.__version__, machine.architecture, set())
        try:
            magic, version, architecture, entries = json.loads(content)
            assert magic == CACHE_MAGIC
        except (ValueError, AssertionError):
            self._error("the timing cache can't be read")
            return None
        return self._module.ITimingCache(version, architecture, set(entries))

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self._own(cache, "ITimingCache")
        same = (cache._version, cache._architecture) == (self._module.__version__, self._here.machine.architecture)
        if not same and not ignore_mismatch:
            self._error("the timing cache is of another device or version")
            return False
        self._cache = cache
        return True

    @property
    def builder_optimization_level(self) -> int:
        return self._level

    @builder_optimization_level.setter
    def builder_optimization_level(self, level: int) -> None:
        assert 0 <= level <= 5
        self._level = level

    @property
    def hardware_compatibility_level(self) -> Any:
        return self._hardware

    @hardware_compatibility_level.setter
    def hardware_compatibility_level(self, level: Any) -> None:
        self._own(level, "HardwareCompatibilityLevel")
        self._hardware = level

    @property
    def progress_monitor(self) -> Any:
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, monitor: Any) -> None:
        self._own(monitor, "IProgressMonitor")
        self._monitor = monitor

    def _has(self, flag: str) -> bool:
        return flag in self._flags

    def _record(self) -> Any:
        from .tensorrt import Build

        return Build(
            frozenset(self._flags), self._pools.get("WORKSPACE"), self._level, self._hardware.name,
            [profile._shapes for profile in self._profiles], threading.current_thread().name,
        )  # fmt: skip


class ITimingCache(Native):
    """What kernels took."""

    def __init__(self, version: str, architecture: int, entries: set[str]) -> None:
        self._version, self._architecture, self._entries = version, architecture, entries

    def serialize(self) -> IHostMemory:
        said = [CACHE_MAGIC, self._version, self._architecture, sorted(self._entries)]
        return self._module.IHostMemory(json.dumps(said).encode())


def _scratch(tensors: list[Any], profiles: list[Any]) -> int:
    """So much that networks differ in it."""
    largest = 0
    for profile in profiles or [{}]:
        sizes = [
            int(np.prod(profile[name][2] if name in profile else dims)) for name, _, dims, inner in tensors if inner
        ]
        largest = max(largest, sum(sizes))
    return -(-16 * largest // 256) * 256 + 1024
