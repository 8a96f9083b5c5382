"""One torch network to one ONNX graph, its attention and norms kept whole."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..runtime.shapes import TOKENS, size_of
from .family import Network

OPSET = 23  # the first with Attention; GroupNormalization, LayerNormalization and Gelu are whole in it too
GRAPH = "model.onnx"


def export_graph(network: Network, module: Any, side: int, step: int, folder: Path) -> Path:
    """Write `folder`/model.onnx, float32, with every dimension word dynamic; returns its path.

    module: the torch network, in float32.  side: a usual picture's, in pixels; step: what sides are multiples of.
    Weights that 16 bits hold exactly are stored so: a checkpoint in float16 gives a graph of the same size.
    """
    import onnx_ir as ir
    import torch

    from .passes.store_weights import store_weights

    words = {"batch": 2, "height": side, "width": side + step, "tokens": 2 * TOKENS}
    examples = [_example(spec.dtype, [size_of(dim, words) for dim in spec.dims]) for spec in network.inputs]
    dynamic = [
        {axis: _axis(dim) for axis, dim in enumerate(spec.dims) if isinstance(dim, str)} for spec in network.inputs
    ]
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            _wrap(network, module),
            tuple(examples),
            dynamo=True,
            opset_version=OPSET,
            input_names=[spec.name for spec in network.inputs],
            output_names=[spec.name for spec in network.outputs],
            dynamic_shapes={"inputs": tuple(dynamic)},
            verbose=False,
        )
    assert program is not None
    model: ir.Model = program.model
    name_dims(model, network)
    for half in ("fp16", "bf16"):
        store_weights(model, half, lossless=True)
    path = folder / GRAPH
    ir.save(model, path, external_data=f"{GRAPH}.data")
    # The exporter's rewrite rules, which live as long as the process, remember the graph and with it every weight.
    for value in model.graph.initializers.values():
        value.const_value = None
    return path


def name_dims(model: Any, network: Network) -> None:
    """Give the graph's inputs and outputs the dimension words of the component's table."""
    import onnx_ir as ir

    for values, specs in ((model.graph.inputs, network.inputs), (model.graph.outputs, network.outputs)):
        for value, spec in zip(values, specs, strict=True):
            value.shape = ir.Shape(list(spec.dims))


def _wrap(network: Network, module: Any) -> Any:
    import torch

    names = [spec.name for spec in network.inputs]

    class Wrapped(torch.nn.Module):
        """The network behind the component's named inputs."""

        def __init__(self) -> None:
            super().__init__()
            self.network = module

        def forward(self, *inputs: Any) -> Any:
            return network.call(self.network, **dict(zip(names, inputs, strict=True)))

    return Wrapped().eval()


def _example(dtype: str, shape: list[int]) -> Any:
    import torch

    if dtype == "int64":
        return torch.ones(shape, dtype=torch.int64)
    return torch.zeros(shape, dtype=torch.float32)


def _axis(dim: str) -> str:
    """A name that the exporter accepts: height/8 -> height_8."""
    return dim.replace("/", "_")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks to stdout and warns of what we know; its errors still come as exceptions."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
