"""Execution providers of ONNX Runtime, and how they are set."""

from __future__ import annotations

from ..manifest import Component
from ..precision import Precision
from ..session import EngineOptions

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "qnn": "QNNExecutionProvider",
}
# Which package brings a provider, where plain onnxruntime does not.
PACKAGES = {
    "cuda": 'onnxruntime-gpu, in place of onnxruntime: pip install "aquatint[cuda]"',
    "directml": "onnxruntime-directml, on Windows",
    "coreml": "onnxruntime on macOS",
    "migraphx": "onnxruntime-migraphx, beside AMD's ROCm",
    "qnn": "onnxruntime-qnn, on a Snapdragon",
}
DENOISERS = ("unet",)  # components that are called at every step: a recording of their work pays
ARENA = {"as-requested": "kSameAsRequested", "powers-of-two": "kNextPowerOfTwo"}


def recordable(component: Component, options: EngineOptions) -> bool:
    """Whether to have the component's runs recorded as CUDA graphs."""
    return options.graphs and component.name in DENOISERS


def cuda_options(component: Component, options: EngineOptions, stream: int, recorded: bool) -> dict[str, str]:
    """The CUDA provider's settings, by its own names.  stream: the address of the one that all work goes to.

    Source: ONNX Runtime's page of the CUDA execution provider.
    """
    math = Precision.parse(component.precision).math
    chosen = {
        "device_id": "0",
        "user_compute_stream": str(stream),
        "cudnn_conv_algo_search": options.conv_search.upper(),
        "arena_extend_strategy": ARENA[options.arena],
        # Its convolutions in this layout know no bfloat16, and the model would not load.
        "prefer_nhwc": _switch(options.conv_layout == "nhwc" and math != "bf16"),
        # On by default, and of 10 bits of mantissa, which is not what fp32 asks for.
        "use_tf32": _switch(math != "fp32"),
    }
    if options.device_memory_mb is not None:
        # The arena counts the weights in.
        limit = (options.device_memory_mb << 20) + component.memory.get("weights_bytes", 0)
        chosen["gpu_mem_limit"] = str(limit)
    if recorded:
        chosen["enable_cuda_graph"] = "1"
    return chosen


def _switch(on: bool) -> str:
    return "1" if on else "0"
