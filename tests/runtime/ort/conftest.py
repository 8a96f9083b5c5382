"""ONNX Runtime for CUDA that is not there: its CPU provider on the stand-in's stream."""

from dataclasses import dataclass, field
from typing import Any

import onnxruntime
import pytest

from aquatint.runtime.sessions import ort as backend
from aquatint.tests.stand_ins.ort import Queued

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class Opened(Queued):
    """A session that says which providers it has."""

    providers: list[str]

    def get_providers(self):
        return self.providers


@dataclass
class CudaRuntime:
    """What was asked of it: of each session the settings and the provider's options.  loaded: what sessions get."""

    loaded: list[str] = field(default_factory=lambda: [CUDA, CPU])
    sessions: list[Opened] = field(default_factory=list)
    settings: list[Any] = field(default_factory=list)
    options: list[dict[str, str]] = field(default_factory=list)
    fails_to_load: int = 0
    fails_to_run: int = 0


@pytest.fixture
def cuda_runtime(gpu, memory, monkeypatch):
    real, made = onnxruntime.InferenceSession, CudaRuntime()

    def open_session(path, settings, providers, enable_fallback):
        assert not enable_fallback  # which would go on with the CPU
        if providers[0][0] != CUDA:
            return real(path, settings, providers=providers)
        if made.fails_to_load:
            made.fails_to_load -= 1
            raise RuntimeError("this graph can't be captured")
        assert providers[1:] == [(CPU, {})]
        opened = Opened(real(path, providers=[CPU]), gpu, memory.stream)
        opened.providers = made.loaded
        if providers[0][1].get("enable_cuda_graph") == "1":
            opened.fails = made.fails_to_run
        made.sessions.append(opened)
        made.settings.append(settings)
        made.options.append(providers[0][1])
        return opened

    backend._package()  # before it lists CUDA: the real one would look for CUDA's libraries
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    memory.device = "cpu"  # as ONNX Runtime names the memory that the stand-in has
    return made
