"""Float32 graphs to graphs that say themselves what is computed in 16 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...runtime.errors import BadModel
from .typed_constants import is_float, kind_of, narrowed, survives, survives_as_scale
from .value_types import fill_types

if TYPE_CHECKING:
    import onnx_ir as ir

# Operators that are computed in float32 with Casts around them: TensorRT 10 and ONNX Runtime on CUDA lack them in bf16
# (onnx-tensorrt 10.1 refuses the first).  In fp16 engines sum a normalization up in float32 by themselves.
WIDE = {"fp16": frozenset[str](), "bf16": frozenset({"InstanceNormalization", "Resize"})}
# Angles reach 1000, where float16 has steps of 0.5 and bfloat16 of 4: they, and all that they are computed from, stay
# float32.
ANGLES = frozenset({"Sin", "Cos"})
# What stays float32 after angles and WIDE, where all else that it reads are constants: a Cast may stand behind it as
# well as before it.  With scale and bias of normalizations in bf16 the demo UNet's error was 1.5 times as large.
FOLLOW = frozenset(
    {"Add", "Concat", "Expand", "Flatten", "Gather", "Identity", "Mul", "Reshape", "Slice", "Split", "Squeeze"}
    | {"Transpose", "Unsqueeze"}
)
ANY_TYPE = frozenset({"Cast", "Shape", "Size"})  # they read floats of every type
SCALED = frozenset({"QuantizeLinear", "DequantizeLinear"})  # they compute in the type of their scale
ALWAYS_FLOAT = {"Resize": (1, 2)}  # inputs: region and scales, float32 by ONNX's word


def type_graph(model: ir.Model, math: str, more: frozenset[str] = frozenset()) -> int:
    """Conv(x, W) -> Conv(Cast(x), W in 16 bits), and the same for all arithmetic; inputs and outputs stay float32.

    math: "fp16", "bf16", or "fp32" (nothing to do).  more: operators that an engine lacks besides WIDE.
    Returns how many nodes compute in 16 bits that did not before.
    Float32 stay, with Casts around them: WIDE; what angles are computed from; sizes and other numbers made of integers;
    nodes with a constant that 16 bits can't hold, quantizers with a scale of too few digits among them.
    It comes last: other rewrites look for constants in float32.
    Raises BadModel for graphs inside of graphs, and for values of unknown type.
    """
    from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass

    if math == "fp32":
        return 0
    _check(model)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    fill_types(model)
    floats = _float_values(model)
    lacking = WIDE[math] | more
    wide = _exact(model, floats) | _after(model, floats, ANGLES | lacking)
    casts = _Casts(model, math)
    count = 0
    for node in list(model.graph):
        slots = _slots(node, floats)
        made = [output for output in node.outputs if output in floats]
        narrow = bool(slots) and node not in wide and node.op_type not in lacking and _fits(node, slots, math)
        for slot in slots:
            given = node.inputs[slot]
            assert given is not None
            node.replace_input_with(slot, casts.of(given, casts.narrow if narrow else casts.wide))
        if narrow:
            for output in made:
                output.dtype = casts.narrow
            count += 1
    _widen_outputs(model, floats, casts)
    if count:
        RemoveUnusedNodesPass()(model)  # weights in their old type, and their Casts
    return count


class _Casts:
    """Every value in the other type, made once."""

    def __init__(self, model: ir.Model, math: str) -> None:
        import onnx_ir as ir

        self.model, self.math = model, math
        self.narrow, self.wide = kind_of(math), ir.DataType.FLOAT
        self.made: dict[ir.Value, ir.Value] = {}

    def of(self, value: ir.Value, kind: ir.DataType) -> ir.Value:
        if value.dtype == kind:
            return value
        if value not in self.made:
            constant = kind == self.narrow and is_float(value)
            self.made[value] = narrowed(self.model, value, self.math) if constant else self._cast(value, kind)
        return self.made[value]

    def _cast(self, value: ir.Value, kind: ir.DataType) -> ir.Value:
        import onnx_ir as ir

        word = "fp32" if kind == self.wide else self.math
        node = ir.node("Cast", [value], {"to": kind}, name=f"{value.name}.to_{word}")
        made = node.outputs[0]
        made.name, made.dtype, made.shape = f"{value.name}.{word}", kind, value.shape
        producer = value.producer()
        if producer is None:
            self.model.graph.insert_before(self.model.graph[0], node)
        else:
            self.model.graph.insert_after(producer, node)
        return made


def _slots(node: ir.Node, floats: set[ir.Value]) -> list[int]:
    """The inputs that have to be of the type that the node computes in."""
    free = range(len(node.inputs)) if node.op_type in ANY_TYPE else ALWAYS_FLOAT.get(node.op_type, ())
    return [slot for slot, given in enumerate(node.inputs) if given in floats and slot not in free]


def _fits(node: ir.Node, slots: list[int], math: str) -> bool:
    """Whether the node's constants can be in 16 bits."""
    if node.op_type in SCALED:
        return survives_as_scale(node.inputs[1], math)
    return all(survives(given, math) for slot in slots if (given := node.inputs[slot]) is not None)


def _exact(model: ir.Model, floats: set[ir.Value]) -> set[ir.Node]:
    """Nodes that have to stay float32: what angles, integers and sizes are made of."""
    found: set[ir.Node] = set()
    for node in reversed(model.graph):
        uses = [use for output in node.outputs if output in floats for use in output.uses()]
        if _asks_float32(node) or any(
            use.node in found or use.idx in ALWAYS_FLOAT.get(use.node.op_type, ()) for use in uses
        ):
            found.add(node)
    return found


def _after(model: ir.Model, floats: set[ir.Value], kinds: frozenset[str]) -> set[ir.Node]:
    """Nodes that may as well stay float32 after some kinds that do."""
    found: set[ir.Node] = set()
    for node in model.graph:
        given = [value for value in node.inputs if value in floats and not is_float(value)]
        follows = node.op_type in FOLLOW and given and all(value.producer() in found for value in given)
        if node.op_type in kinds or follows:
            found.add(node)
    return found


def _asks_float32(node: ir.Node) -> bool:
    import onnx_ir as ir

    if node.op_type == "Cast":
        return ir.DataType(node.attributes["to"].as_int()).is_integer()
    return node.op_type in ANGLES


def _widen_outputs(model: ir.Model, floats: set[ir.Value], casts: _Casts) -> None:
    """What leaves the graph is float32 again, under the old name."""
    for index, output in enumerate(model.graph.outputs):
        if output in floats and output.dtype == casts.narrow:
            wide, name = casts.of(output, casts.wide), output.name
            if not wide.is_graph_output():
                output.name, wide.name = f"{name}.{casts.math}", name
            model.graph.outputs[index] = wide


def _float_values(model: ir.Model) -> set[ir.Value]:
    import onnx_ir as ir

    graph = model.graph
    every = (*graph.inputs, *graph.initializers.values(), *(output for node in graph for output in node.outputs))
    return {value for value in every if value.dtype == ir.DataType.FLOAT}


def _check(model: ir.Model) -> None:
    """Raises BadModel for graphs inside of the graph, which are not looked into."""
    import onnx_ir as ir

    inside = next(
        (
            node.name or node.outputs[0].name
            for node in model.graph
            for attribute in node.attributes.values()
            if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        ),
        next((f"function {function}" for function in model.functions), None),
    )
    if inside is not None:
        raise BadModel(f"{inside} has a graph of its own, which can't be computed in 16 bits; export it without")
