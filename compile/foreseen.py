"""A component's weights before it is exported: which are layers that can take fewer bits, and what all will take."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..quantize.assign import Assignment, Rule, assign, check_rules
from ..quantize.layers import Layer
from ..runtime.errors import BadModel
from ..runtime.precision import BITS, Precision
from .checkpoint import Checkpoint
from .families.sd import layers as text_layers
from .family import Network
from .lora import plain
from .onnx_folder import open_graph
from .quantized import Recipe
from .weight_file import FLOAT_BITS, Tensor, read_header

SMALLEST = 256  # elements, as in compile/passes/store_weights.py: what is smaller stays in float32
EMBEDDING = "embedding.weight"  # how the names of tables end, which are looked up and not multiplied with
HALVES = {"vae_decoder": ("decoder.", "post_quant_conv."), "vae_encoder": ("encoder.", "quant_conv.")}
# Diffusers' first attention blocks; it renames them when it loads them.
OLD_ATTENTION = re.compile(r"(?P<block>.*\.attentions\.\d+)\.(?P<part>query|key|value|proj_attn)(?P<kind>\.\w+)")
NEW_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True)
class Weight:
    """One tensor of a component.

    bits: of each element in its graph.  narrows: a precision of fewer bits has it stored in those.
    layer: what of it can be quantized, None for embeddings, norms and biases.
    """

    elements: int
    bits: int
    narrows: bool
    layer: Layer | None = None

    def size_bytes(self, precision: Precision) -> int:
        """What it takes where it is not quantized."""
        bits = min(self.bits, BITS[precision.weights]) if self.narrows else self.bits
        return (self.elements * bits + 7) // 8


def weights_of(checkpoint: Checkpoint, network: Network, quantizing: bool = True) -> list[Weight]:
    """Every tensor of one component, from headers; reads no weight of a file whose header tells its shapes.

    quantizing: whether something is asked of its layers; without, a graph that computes in 16 bits has none.
    Sizes are upper bounds in fp32: which tensors a float32 file could hold in 16 bits, no header tells.
    Raises BadModel where the files can't be read, or the graph lacks what our pipelines need.
    """
    if checkpoint.is_onnx:
        return _of_graph(checkpoint, network, quantizing)
    tensors: dict[str, Tensor] = {}
    for file in checkpoint.weight_files(network.folder):
        tensors |= {_name_of(name, network): tensor for name, tensor in read_header(file).items()}
    used = _used(checkpoint, network)
    found = []
    for name, tensor in tensors.items():
        if tensor.dtype in FLOAT_BITS and used.match(name):
            taught = _taught(checkpoint, network) if name.endswith("token_embedding.weight") else 0
            elements = math.prod(tensor.shape) + taught * math.prod(tensor.shape[1:])
            # What is merged into a tensor of 16 bits leaves it in 32, as tensors are that are small.
            whole = elements < SMALLEST or taught or (checkpoint.loras and network.stage != "image")
            bits = 32 if whole else min(max(FLOAT_BITS[tensor.dtype], 16), 32)
            found.append(Weight(elements, bits, elements >= SMALLEST, _layer(name, tensor)))
    return found


def layers_of(checkpoint: Checkpoint, network: Network) -> list[Layer]:
    """The layers that quantize.layers.find_layers will find in the component's graph, in the order of the files.

    Their `weight` is an initializer only where the checkpoint is a folder of graphs; else it is torch's parameter.
    """
    return [weight.layer for weight in weights_of(checkpoint, network) if weight.layer is not None]


def assign_all(
    recipes: Mapping[str, Recipe], rules: Sequence[Rule], weights: Mapping[str, Sequence[Weight]]
) -> dict[str, tuple[Assignment, ...]]:
    """What each layer of each component gets.  rules: of all components, from the profile.

    Raises BadProfile for a rule that matches no component, or no layer of any.
    """
    layers = {name: [found.layer for found in parts if found.layer] for name, parts in weights.items()}
    check_rules(rules, layers)
    return {name: tuple(assign(layers[name], recipe.rules, recipe.default, name)) for name, recipe in recipes.items()}


def stored_bytes(weights: Iterable[Weight], assignments: Iterable[Assignment], precision: Precision) -> int:
    """What a component's weights take once its layers are quantized and the rest has the precision."""
    taken = {assignment.layer.name: assignment.size_bytes for assignment in assignments}
    total = 0
    for weight in weights:
        quantized = None if weight.layer is None else taken.get(weight.layer.name)
        total += weight.size_bytes(precision) if quantized is None else quantized
    return total


def _name_of(stored: str, network: Network) -> str:
    """The tensor's name in the network that Diffusers or Transformers makes of the file."""
    if network.stage == "text":
        return plain(stored)
    old = OLD_ATTENTION.fullmatch(stored)
    return stored if old is None else f"{old['block']}.{NEW_ATTENTION[old['part']]}{old['kind']}"


def _used(checkpoint: Checkpoint, network: Network) -> re.Pattern[str]:
    """How names begin of those tensors that are in the component's graph."""
    if network.stage == "denoise":
        return re.compile("")
    if network.stage == "image":
        return re.compile("|".join(map(re.escape, HALVES[network.name])))
    outputs = {spec.name for spec in network.outputs}
    count = text_layers(checkpoint.config(network.folder))
    if outputs == {"hidden_states"}:  # SDXL takes the states before the last layer
        numbers, ends = range(count - 1), []
    else:
        numbers, ends = range(count), ["final_layer_norm"]
    if "text_embeds" in outputs:
        ends.append("text_projection")
    encoder = [f"encoder.layers.{number}" for number in numbers]
    return re.compile("|".join(re.escape(f"{name}.") for name in ["embeddings", *encoder, *ends]))


def _taught(checkpoint: Checkpoint, network: Network) -> int:
    """How many vectors textual inversion adds to a text encoder."""
    return sum(embedding.vectors for embedding in checkpoint.embeddings if network.folder in embedding.keys)


def _layer(name: str, tensor: Tensor) -> Layer | None:
    kind = {2: "linear", 4: "conv"}.get(len(tensor.shape))
    if kind is None or not name.endswith(".weight") or name.endswith(EMBEDDING) or not math.prod(tensor.shape):
        return None
    return Layer(name.removesuffix(".weight"), kind, tensor.shape, name)


def _of_graph(checkpoint: Checkpoint, network: Network, quantizing: bool) -> list[Weight]:
    from ..quantize.layers import find_layers

    model = open_graph(network, checkpoint.folder)
    try:
        layers = {layer.weight: layer for layer in find_layers(model)}
    except BadModel as reason:
        if quantizing:
            raise BadModel(f"{network.name} of {checkpoint.source}: {reason}") from reason
        layers = {}
    found = []
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is not None:
            narrows = tensor.dtype.name == "FLOAT" and tensor.size >= SMALLEST
            found.append(Weight(tensor.size, tensor.dtype.bitwidth, narrows, layers.get(name)))
    return found
