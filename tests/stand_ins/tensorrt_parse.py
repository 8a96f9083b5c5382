"""The stand-in's parser of ONNX, and the one that puts weights back."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from .tensorrt_native import Native
from .tensorrt_plan import tensors_of, weights_of

ATTENTION = (10, 14)  # since when the parser reads it
DECOMPOSABLE = "TRT_decomposable"  # of Attention: allow several kernels in place of a fused one


class OnnxParser(Native):
    """ONNX to a network."""

    def __init__(self, network: Any, logger: Any) -> None:
        self._own(network, "INetworkDefinition")
        self._own(logger, "ILogger")
        self._network, self._logger = network, logger
        self._errors: list[str] = []

    def parse_from_file(self, model: str) -> bool:
        loaded, self._errors = _load(model)
        if loaded is not None:
            self._errors = [problem for node in loaded.graph.node if (problem := self._refuses(loaded, node))]
            if not self._errors:
                self._network._model, self._network._tensors = loaded, tensors_of(loaded)
        for problem in self._errors:
            self._error(problem)
        return not self._errors

    @property
    def num_errors(self) -> int:
        """How many."""
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._module.ParserError(self._errors[index])

    def _refuses(self, model: onnx.ModelProto, node: onnx.NodeProto) -> str:
        if node.op_type == "Attention" and self._number < ATTENTION:
            return f"In node {node.name}, operator Attention: UNSUPPORTED_NODE: there is no importer for it"
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2:
            stored = {weight.name: weight for weight in model.graph.initializer}
            zero = stored.get(node.input[2])
            if zero is not None and zero.data_type == onnx.TensorProto.UINT8:
                return f"In node {node.name}: UINT8 quantization is not supported"
            if zero is not None and np.any(numpy_helper.to_array(zero).astype(np.float32)):
                return f"In node {node.name}: TRT only supports symmetric quantization, the zero point must be 0"
        return ""


class ParserError(Native):
    """One thing that it could not read."""

    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text


class OnnxParserRefitter(Native):
    """Takes them from ONNX."""

    def __init__(self, refitter: Any, logger: Any) -> None:
        self._own(refitter, "Refitter")
        self._own(logger, "ILogger")
        self._refitter, self._logger = refitter, logger
        self._errors: list[str] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return ParserError(self._errors[index])

    def refit_from_file(self, model: str) -> bool:
        loaded, self._errors = _load(model)
        if loaded is not None:
            needed = _named(onnx.load_from_string(self._refitter._engine._graph))
            given = _named(loaded)
            missing = sorted(set(needed.items()) - set(given.items()))
            self._errors = [f"refit: {missing[0][0]} is not among the weights"] if missing else []
        for problem in self._errors:
            self._error(problem)
        if loaded is not None and not self._errors:
            self._refitter._given = loaded.SerializeToString()
        return not self._errors


def _load(path: str) -> tuple[onnx.ModelProto | None, list[str]]:
    """The model without what only TensorRT's parser understands, or what is wrong with the file."""
    if not isinstance(path, str):
        raise TypeError(f"model is {path!r}, not str")
    try:
        loaded = onnx.load(path)
    except Exception as reason:  # missing or broken, weights too
        return None, [f"Failed to parse ONNX model from file: {path} ({type(reason).__name__})"]
    for node in loaded.graph.node:
        kept = [attribute for attribute in node.attribute if attribute.name != DECOMPOSABLE]
        if node.op_type == "Attention" and len(kept) < len(node.attribute):
            del node.attribute[:]
            node.attribute.extend(kept)
    return loaded, []


def _named(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    return {weight.name: tuple(weight.dims) for weight in weights_of(model)}
