"""The best that this machine was seen to do: products of large matrices, and reading and copying memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from os import cpu_count
from typing import Any

import numpy as np

from .work import Type

SIDES = (1024, 2048)  # of square matrices: smaller ones spend their time elsewhere, larger ones leave the caches
SECONDS = 0.7  # for each product
BUFFER_BYTES = 1 << 29  # far more than the last cache holds
ORDER: tuple[Type, ...] = ("f32", "f16", "bf16", "i8")  # from wide to narrow
HINTS: dict[Type, str] = {"f32": "f32", "f16": "f16", "bf16": "bf16", "i8": "f32"}


@dataclass(frozen=True)
class Peak:
    """Of products of one type.  engine: whose it was."""

    type: Type
    operations_s: float
    engine: str


@dataclass(frozen=True)
class Peaks:
    """Seen, not promised: a better kernel than those tried may reach more, and then a stage lies under its floor.

    products: of the types that an engine here computes in.  read_bytes_s, copy_bytes_s: of memory, by all threads; a
    byte that is copied counts once, though it is read and written.
    """

    products: tuple[Peak, ...]
    read_bytes_s: float
    copy_bytes_s: float

    def best(self, type_: Type) -> Peak:
        """Of this type or a wider one, for what is to be computed in few bits may be computed in more."""
        wider = ORDER[: ORDER.index(type_) + 1]
        return max((peak for peak in self.products if peak.type in wider), key=lambda peak: peak.operations_s)


def measure_peaks(
    device: str, threads: int | None, sides: tuple[int, ...] = SIDES, seconds: float = SECONDS,
    buffer_bytes: int = BUFFER_BYTES,
) -> Generator[str, None, Peaks]:  # fmt: skip
    """Yields what is being measured.  device: OpenVINO's name, "CPU"; other engines are tried on a CPU only.

    seconds: for each product of each size.
    """
    found: list[Peak] = []
    for side in sides:
        yield f"NumPy, f32, {side}"
        found.append(Peak("f32", _rate(_numpy(side), side, seconds), "numpy"))
        if find_spec("openvino") is not None:
            for type_ in HINTS:
                yield f"OpenVINO, {type_}, {side}"
                run = _openvino(device, type_, side, threads)
                if run is not None:
                    found.append(Peak(type_, _rate(run, side, seconds), "openvino"))
        if find_spec("onnxruntime") is not None and find_spec("onnx") is not None and device == "CPU":
            yield f"ONNX Runtime, f32, {side}"
            found.append(Peak("f32", _rate(_onnxruntime(side, threads), side, seconds), "onnxruntime"))
    best = {type_: [peak for peak in found if peak.type == type_] for type_ in HINTS}
    products = tuple(max(peaks, key=lambda peak: peak.operations_s) for peaks in best.values() if peaks)
    yield "memory"
    return Peaks(products, *_memory(threads or cpu_count() or 1, buffer_bytes))


def _rate(run: Callable[[], object], side: int, seconds: float) -> float:
    """Operations a second, of the fastest run."""
    run()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < seconds:
        before = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - before)
    return 2 * side**3 / best


def _numpy(side: int) -> Callable[[], object]:
    first, second = _factors(side)
    out = np.empty_like(first)
    return lambda: np.matmul(first, second, out=out)


def _factors(side: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((side, side), np.float32), rng.standard_normal((side, side), np.float32)


def _openvino(device: str, type_: Type, side: int, threads: int | None) -> Callable[[], object] | None:
    """None where the device computes such a product in another type."""
    import openvino
    from openvino import opset13

    core = openvino.Core()
    given, weights = _factors(side)
    first = opset13.parameter([side, side], np.float32)
    factors: list[Any] = [first, opset13.constant(weights)]
    if type_ == "i8":
        # The same steps for both, symmetric, as our own quantization has them.
        factors = [opset13.fake_quantize(factor, *map(np.float32, (-4, 4, -4, 4)), 255) for factor in factors]
    model = openvino.Model([opset13.matmul(*factors, False, False)], [first])
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[type_]}
    if threads is not None and device == "CPU":
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = core.compile_model(model, device, settings)
    except RuntimeError:
        return None
    if type_ not in _computed_in(compiled):
        return None
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(given))
    return lambda: request.infer()


def _computed_in(compiled: Any) -> set[str]:
    """The types of the products as they are executed."""
    kinds = {"FullyConnected", "MatMul", "Gemm"}
    ops = [op.get_rt_info() for op in compiled.get_runtime_model().get_ops()]
    told = {str(info["runtimePrecision"].astype(str)) for info in ops if info["layerType"].astype(str) in kinds}
    return {"i8" if word in ("i8", "u8") else word for word in told}


def _onnxruntime(side: int, threads: int | None) -> Callable[[], object]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    given, weights = _factors(side)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (side, side)) for name in ("x", "y")]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "product", value[:1], value[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": given})


def _memory(threads: int, size_bytes: int) -> tuple[float, float]:
    """Bytes a second that are read, and copied, by all threads together."""
    source = np.ones(size_bytes // 8, np.float64)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:

        def all_of(work: Callable[[tuple[np.ndarray, np.ndarray]], object]) -> float:
            best = float("inf")
            for _ in range(5):
                start = time.perf_counter()
                list(pool.map(work, parts))
                best = min(best, time.perf_counter() - start)
            return source.nbytes / best

        return all_of(lambda pair: pair[0].max()), all_of(lambda pair: np.copyto(pair[1], pair[0]))
