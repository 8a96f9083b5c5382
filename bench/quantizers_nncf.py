"""NNCF on the float graph as OpenVINO reads it, laid out as NNCF wants it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

GROUP_SIZE = 64  # our int4's


def compress(model: Any, settings: Mapping[str, Any], calls: Sequence[Mapping[str, np.ndarray]]) -> Any:
    """The openvino.Model quantized; `settings` with a "preset" are of nncf.quantize, others of compress_weights.

    mode: of CompressWeightsMode.  with: further steps of 4-bit weights, which look at the calls.
    preset, transformer, fast_bias: as nncf.quantize has them.  smooth: SmoothQuant's exponents, of convolutions and of
    matrices, -1 for none.  extremes: ranges from the least to the greatest that was seen, not from their means.
    ignored: operations that stay in floats.
    """
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    put_outputs_first(model)
    if "preset" in settings:
        return _quantize(model, settings, calls)
    mode = nncf.CompressWeightsMode[settings["mode"]]
    if settings["mode"].startswith("INT8"):
        return nncf.compress_weights(model, mode=mode)
    from nncf.quantization.advanced_parameters import AdvancedCompressionParameters, GroupSizeFallbackMode

    steps = settings.get("with", ())
    looks = {"dataset": nncf.Dataset(calls), "subset_size": len(calls)} if steps else {}
    return nncf.compress_weights(
        model, mode=mode, ratio=1.0, group_size=GROUP_SIZE, all_layers=True, **looks, **dict.fromkeys(steps, True),
        advanced_parameters=AdvancedCompressionParameters(group_size_fallback_mode=GroupSizeFallbackMode.ADJUST),
    )  # fmt: skip


def put_outputs_first(model: Any) -> int:
    """MatMul(x, W) -> MatMul(x, W', transpose_b), W' (out, in) as in torch

    NNCF 3.4 refuses GPTQ of weights that lie as (in, out), as they do in ONNX, and its scale estimation makes nonsense
    of them without a word: an error of 140 % of the demo UNet's output.
    """
    from openvino import opset13

    changed = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or node.get_attributes()["transpose_b"]:
            continue
        weight = node.input_value(1).get_node()
        if weight.get_type_name() == "Convert":  # stored in 16 bits
            weight = weight.input_value(0).get_node()
        if weight.get_type_name() != "Constant" or len(weight.shape) != 2:
            continue
        turned = opset13.constant(np.ascontiguousarray(weight.data.T))
        turned.set_friendly_name(f"{weight.get_friendly_name()}.turned")
        wide = turned if weight.data.dtype == np.float32 else opset13.convert(turned, "f32")
        made = opset13.matmul(node.input_value(0), wide, node.get_attributes()["transpose_a"], True)
        made.set_friendly_name(node.get_friendly_name())
        node.output(0).replace(made.output(0))
        changed += 1
    return changed


def named(model: Any, weights: Sequence[np.ndarray]) -> list[str]:
    """The convolutions and products that have these weights, by their names in OpenVINO.

    Names differ from ONNX's: OpenVINO calls an operation by its output, and adds words of its own.
    """
    wanted = {(weight.shape, weight.astype(np.float32).tobytes()) for weight in weights}
    found = []
    for node in model.get_ordered_ops():
        if node.get_type_name() not in ("Convolution", "MatMul"):
            continue
        below = node.input_value(1).get_node()
        if below.get_type_name() == "Convert":
            below = below.input_value(0).get_node()
        if below.get_type_name() == "Constant":
            array = below.data.astype(np.float32)
            if (array.shape, array.tobytes()) in wanted:
                found.append(node.get_friendly_name())
    return found


def _quantize(model: Any, settings: Mapping[str, Any], calls: Sequence[Mapping[str, np.ndarray]]) -> Any:
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, AdvancedSmoothQuantParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    advanced = AdvancedQuantizationParameters()
    if "smooth" in settings:
        convolution, matmul = settings["smooth"]
        advanced.smooth_quant_alphas = AdvancedSmoothQuantParameters(convolution=convolution, matmul=matmul)
    if settings.get("extremes"):
        advanced.activations_range_estimator_params = RangeEstimatorParametersSet.MINMAX
    return nncf.quantize(
        model, nncf.Dataset(calls), subset_size=len(calls), preset=nncf.QuantizationPreset[settings["preset"]],
        model_type=nncf.ModelType.TRANSFORMER if settings.get("transformer") else None,
        fast_bias_correction=settings.get("fast_bias", True), advanced_parameters=advanced,
        ignored_scope=nncf.IgnoredScope(names=list(settings.get("ignored", ()))),
    )  # fmt: skip
