"""Stage 0: what is here, and what the words for targets come to."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import aquatint
from aquatint.bench.timing.vram import bus_id
from aquatint.runtime.cuda.device import Gpu, driver_version, first_gpu
from aquatint.runtime.errors import MissingPackage
from aquatint.runtime.session import devices, require_device
from aquatint.runtime.target import Target

TENSORRT, CUDA = "tensorrt", Target("ort", "cuda")
REFERENCES = (Target("openvino", "cpu"), Target("ort", "cpu"))
PACKAGES = (
    "numpy", "pillow", "onnxruntime-gpu", "onnxruntime", "tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-lean",
    "cuda-bindings", "nvidia-ml-py", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13", "openvino", "torch", "triton",
    "diffusers", "transformers", "onnx", "onnx-ir", "onnxscript",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """targets: as the user wrote them; none: those for NVIDIA's GPUs that are installed here."""

    targets: tuple[str, ...]


def do(job: Job, folder: Path) -> dict[str, Any]:
    """Facts of this machine.  Raises Error, in one line, where a target that is asked for is not here."""
    gpu = first_gpu() if needs_gpu(job.targets) else None
    targets = resolve(job.targets, gpu)
    for target in targets:
        require_device(target)
    return {
        "gpu": gpu and {**asdict(gpu), "bus_id": bus_id(gpu), "cuda_driver": driver_version(), "driver": _driver()},
        "targets": [str(target) for target in targets],
        "references": {str(target): reference_of(target) for target in targets},
        "torch": _torch(),
        "packages": {"aquatint": aquatint.__version__, **{name: had for name in PACKAGES if (had := _version(name))}},
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "commit": _commit(),
    }


def needs_gpu(words: tuple[str, ...]) -> bool:
    """Whether targets, as the user wrote them, are for NVIDIA's GPUs; no word stands for these."""
    return not words or any(word.split(":")[0] == TENSORRT or word == str(CUDA) for word in words)


def resolve(words: tuple[str, ...], gpu: Gpu | None) -> list[Target]:
    """Targets of words; `tensorrt` is the one for this GPU.  Raises MissingPackage where none is installed."""
    if words:
        own = f"{TENSORRT}:{gpu.architecture}" if gpu is not None else TENSORRT
        return [Target.parse(own if word == TENSORRT else word) for word in words]
    assert gpu is not None
    found = []
    for target in (CUDA, Target(TENSORRT, gpu.architecture)):
        try:
            found += [target] if target.device in devices(target) else []
        except MissingPackage:
            continue
    if not found:
        raise MissingPackage(
            f"there is {gpu.name}, and no engine for it: "
            'pip install "aquatint[cuda]" in place of onnxruntime, or "aquatint[tensorrt]"'
        )
    return found


def reference_of(target: Target) -> str | None:
    """The target on the CPU whose pictures those of `target` are held against, or None."""
    for reference in REFERENCES:
        try:
            if reference != target and reference.device in devices(reference):
                return str(reference)
        except MissingPackage:
            continue
    return None


def _driver() -> str | None:
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # without the package, or its library
        return None


def _torch() -> dict[str, Any] | None:
    try:
        import torch
    except ImportError:
        return None
    return {"version": torch.__version__, "cuda": torch.version.cuda, "here": torch.cuda.is_available()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _commit() -> str | None:
    """Of the clone, with + where files were changed."""
    git = ["git", "-C", str(Path(aquatint.__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=30)
        state = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if head.returncode else head.stdout.strip() + ("+" if state.stdout.strip() else "")
