"""A folder that Optimum exported to ONNX: its graphs taken in place of our export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..runtime.errors import BadModel
from .export import GRAPH, name_dims
from .families.sd import CLIP_SKIP
from .family import Anatomy, Network

PREFIXES = ("ORT", "Onnx", "OV")
HIDDEN = "hidden_states."


def is_one(folder: Path) -> bool:
    """Whether the denoiser of this model folder is a graph."""
    return (folder / "unet" / GRAPH).is_file()


def pipeline_class(name: str) -> str:
    """Optimum's class name -> Diffusers'."""
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def without_clip_skip(anatomy: Anatomy) -> Anatomy:
    """What a family expects of graphs: Optimum's text encoders give one layer's states, and no choice."""
    networks = tuple(
        replace(network, inputs=tuple(spec for spec in network.inputs if spec.name != CLIP_SKIP))
        for network in anatomy.networks
    )
    return replace(anatomy, networks=networks, settings={**anatomy.settings, "largest_clip_skip": None})


def take_graph(network: Network, folder: Path, into: Path) -> Path:
    """Write the network's graph with our inputs and outputs to `into`/model.onnx; returns its path.

    Inputs of another type or rank get a Cast or a Reshape, outputs that we do not use are dropped, and dimensions get
    our words.  Raises BadModel where the graph lacks an input or output of ours, or asks for an input that we lack.
    """
    import onnx_ir as ir

    model = open_graph(network, folder)
    for value, spec in zip(model.graph.inputs, network.inputs, strict=True):
        _adapt_input(model, value, ir.DataType[_TYPES[spec.dtype]], len(spec.dims))
    name_dims(model, network)
    path = into / GRAPH
    ir.save(model, path, external_data=f"{GRAPH}.data")
    return path


def open_graph(network: Network, folder: Path) -> Any:
    """The network's graph with our inputs and outputs, in the types that it has for them; weights stay on the disk.

    Raises BadModel where it lacks one of ours, or asks for an input that we lack.
    """
    import onnx_ir as ir
    from onnx_ir.passes import common

    source = folder / network.name / GRAPH
    if not source.is_file():
        raise BadModel(f"{folder} has no {network.name}/{GRAPH}")
    try:
        model = ir.load(source)
    except Exception as reason:  # protobuf's and onnx_ir's errors share no class
        raise BadModel(f"{source} is no ONNX graph: {reason}") from reason
    _order_inputs(model, network, source)
    _pick_outputs(model, network, source)
    common.RemoveUnusedNodesPass()(model)
    return model


def _order_inputs(model: Any, network: Network, source: Path) -> None:
    """Our inputs in our order; initializers that old graphs list among their inputs are constants from here on."""
    here = {value.name: value for value in model.graph.inputs if value.name not in model.graph.initializers}
    ours = [spec.name for spec in network.inputs]
    missing, unknown = [name for name in ours if name not in here], [name for name in here if name not in ours]
    if missing:
        raise BadModel(f"{source}: the graph has no input {', '.join(missing)}; it has {', '.join(here)}")
    if unknown:
        raise BadModel(f"{source}: the graph asks for {', '.join(unknown)}, which this family does not feed")
    model.graph.inputs.clear()
    model.graph.inputs.extend(here[name] for name in ours)


_TYPES = {"float32": "FLOAT", "int64": "INT64"}


def _adapt_input(model: Any, value: Any, dtype: Any, rank: int) -> None:
    """x -> Cast(Reshape(x)): the graph keeps its own type and rank behind ours."""
    import onnx_ir as ir

    inner_dtype, inner_rank = value.dtype, len(value.shape)
    if inner_dtype == dtype and inner_rank == rank:
        return
    nodes = []
    uses = list(value.uses())
    last = value
    if inner_rank != rank:
        shape = ir.Tensor(_int64([1] * inner_rank), name=f"{value.name}_rank")
        dims = ir.Value(name=shape.name, type=ir.TensorType(shape.dtype), shape=shape.shape, const_value=shape)
        model.graph.initializers[shape.name] = dims
        nodes.append(ir.node("Reshape", [last, dims]))
        last = nodes[-1].outputs[0]
        value.shape = ir.Shape([1] * rank)
    if inner_dtype != dtype:
        nodes.append(ir.node("Cast", [last], attributes={"to": inner_dtype}))
        last = nodes[-1].outputs[0]
        value.dtype = dtype
    for use in uses:
        use.node.replace_input_with(use.idx, last)
    model.graph.insert_before(model.graph[0], nodes)


def _pick_outputs(model: Any, network: Network, source: Path) -> None:
    here = {value.name: value for value in model.graph.outputs}
    layers = sorted((name for name in here if name.startswith(HIDDEN)), key=lambda name: int(name.split(".")[1]))
    if "hidden_states" not in here and len(layers) > 1:
        here["hidden_states"] = here[layers[-2]]  # of all layers' states, SDXL uses the last but one
    missing = [spec.name for spec in network.outputs if spec.name not in here]
    if missing:
        raise BadModel(f"{source}: the graph has no output {', '.join(missing)}; it has {', '.join(here)}")
    chosen = [here[spec.name] for spec in network.outputs]
    model.graph.outputs.clear()
    for spec, value in zip(network.outputs, chosen, strict=True):
        value.name = spec.name
        model.graph.outputs.append(value)


def _int64(values: list[int]) -> Any:
    import numpy as np

    return np.array(values, np.int64)
