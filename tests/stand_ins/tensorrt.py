"""The modules tensorrt and tensorrt_lean over a Machine: built and run by ONNX Runtime, refused as NVIDIA says.

Source: the docstrings of NVIDIA's bindings (python/docstrings) and the comments of its headers, 10.3 to 11.1.
"""

from __future__ import annotations

import sys
import weakref
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from . import tensorrt_build, tensorrt_parse, tensorrt_run
from .machine import Machine
from .tensorrt_native import Named, classes_of, named

ENUMS: dict[str, dict[str, int]] = {
    "BuilderFlag": {
        "REFIT": 4, "TF32": 7, "VERSION_COMPATIBLE": 13, "EXCLUDE_LEAN_RUNTIME": 14, "STRIP_PLAN": 19,
        "REFIT_IDENTICAL": 20, "WEIGHT_STREAMING": 21,
    },
    "NetworkDefinitionCreationFlag": {"STRONGLY_TYPED": 1},
    "MemoryPoolType": {"WORKSPACE": 0},
    "HardwareCompatibilityLevel": {"NONE": 0, "AMPERE_PLUS": 1, "SAME_COMPUTE_CAPABILITY": 2},
    "ExecutionContextAllocationStrategy": {"STATIC": 0, "ON_PROFILE_CHANGE": 1, "USER_MANAGED": 2},
    "TensorIOMode": {"NONE": 0, "INPUT": 1, "OUTPUT": 2},
    "DataType": {
        "FLOAT": 0, "HALF": 1, "INT8": 2, "INT32": 3, "BOOL": 4, "UINT8": 5, "FP8": 6, "BF16": 7, "INT64": 8, "INT4": 9,
    },
}  # fmt: skip
# Names that came later: enum, name -> the release.
SINCE = {("HardwareCompatibilityLevel", "SAME_COMPUTE_CAPABILITY"): (10, 9)}
BUILDING = ("BuilderFlag", "NetworkDefinitionCreationFlag", "MemoryPoolType")  # not in the lean runtime
NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "INT8": np.int8, "INT32": np.int32, "INT64": np.int64,
         "BOOL": np.bool_, "UINT8": np.uint8}  # fmt: skip


@dataclass
class Build:
    """What a builder was asked for.  timed: kernels that no cache knew.  profiles: input -> (min, opt, max)."""

    flags: frozenset[str]
    workspace: int | None
    optimization_level: int
    hardware: str
    profiles: list[dict[str, tuple[tuple[int, ...], ...]]]
    thread: str
    timed: int = 0
    cancelled: bool = False


@dataclass
class TensorRT:
    """What is there, and how it behaves.

    capturable: whether executions can be recorded at all.  lazy: a context refuses to be recorded until it has run with
    its shapes.  step_s: how long a step of a build takes.  refuses_to_build: the reason, if it does.
    shape_inputs: tensors that it makes shapes of.
    """

    machine: Machine
    monkeypatch: pytest.MonkeyPatch
    capturable: bool = True
    lazy: bool = True
    step_s: float = 0.0
    refuses_to_build: str = ""
    shape_inputs: frozenset[str] = frozenset()
    builds: list[Build] = field(default_factory=list)
    module: Any = None
    lean: Any = None
    engines: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)

    def install(self, version: str, lean: str | None = None) -> None:
        """Be of this release; lean: of another one."""
        self.module = self._module("tensorrt", version)
        self.lean = self._module("tensorrt_lean", lean or version)
        for module in (self.module, self.lean):
            self.monkeypatch.setitem(sys.modules, module.__name__, module)

    def uninstall(self, name: str) -> None:
        """Have it be missing."""
        self.monkeypatch.setitem(sys.modules, name, None)

    def _module(self, name: str, version: str) -> ModuleType:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)  # packages that ask what is installed look for it
        number = tuple(int(part) for part in version.split(".")[:2])
        full = name == "tensorrt"
        for enum, members in ENUMS.items():
            here = {key: value for key, value in members.items() if SINCE.get((enum, key), (0,)) <= number}
            if full or enum not in BUILDING:
                setattr(module, enum, named(enum, here, name))
        sources = (tensorrt_run, tensorrt_build, tensorrt_parse) if full else (tensorrt_run,)
        for source in sources:
            for made in classes_of(source, module, self):
                setattr(module, made.__name__, made)

        def nptype(trt_type: Named) -> type:
            if trt_type.name not in NUMPY:
                raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
            return NUMPY[trt_type.name]

        vars(module).update(__version__=version, nptype=nptype)
        return module
