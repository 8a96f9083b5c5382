"""A small graph with every kind of layer, a tiny checkpoint's UNet, what both are given, and ways to run a graph."""

import json

import numpy as np
import pytest

ir = pytest.importorskip("onnx_ir")

# Left alone, both engines also round the activations to 8 bits once they see quantized weights, which costs 3e-3 of
# relative error here; a scheme is judged by its weights.
ORT_FLOATS = ("session.qdq_matmulnbits_accuracy_level", "1")
OPENVINO_FLOATS = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
WIDTH = 128


def constant(array, name):
    tensor = ir.Tensor(array, name=name)
    return ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)


class Small:
    """tokens (batch, 6) -> embedding, MatMul and bias, Gemm with transB; picture (batch, 8, 5, 5) -> convolutions."""

    def __init__(self, opset=23):
        rng = np.random.default_rng(0)
        self.weights = {
            "network.embed.weight": rng.standard_normal((20, WIDTH)),
            "up": rng.standard_normal((WIDTH, 192)),  # (in, out), named by its node's scope
            "network.up.bias": rng.standard_normal(192),
            "network.down.weight": rng.standard_normal((64, 192)),
            "network.down.bias": rng.standard_normal(64),
            "network.grouped.weight": rng.standard_normal((16, 2, 3, 3)),
            "network.grouped.bias": rng.standard_normal(16),
            "network.pointwise.weight": rng.standard_normal((6, 16, 1, 1)),
        }
        self.weights = {name: array.astype(np.float32) for name, array in self.weights.items()}
        self.feeds = {
            "tokens": rng.integers(0, 20, (2, 6)),
            "picture": rng.standard_normal((2, 8, 5, 5)).astype(np.float32),
        }
        self.opset = opset

    def model(self, **changes):
        """The graph.  changes: other weights, `.` in their names as `_`."""
        arrays = {name: changes.get(name.replace(".", "_"), array) for name, array in self.weights.items()}
        held = {name: constant(array, name) for name, array in arrays.items()}
        tokens = ir.Value(name="tokens", type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape(["batch", 6]))
        picture = ir.Value(name="picture", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["batch", 8, 5, 5]))
        scopes = {"pkg.torch.onnx.name_scopes": "['', 'network', 'network.block.0', 'network.block.0.up', 'linear']"}

        embed = ir.node("Gather", [held["network.embed.weight"], tokens])
        up = ir.node("MatMul", [embed.outputs[0], held["up"]], metadata_props=scopes)
        add = ir.node("Add", [up.outputs[0], held["network.up.bias"]])
        flat = ir.node("Reshape", [add.outputs[0], constant(np.array([-1, 192]), "flat")])
        sides = [flat.outputs[0], held["network.down.weight"], held["network.down.bias"]]
        down = ir.node("Gemm", sides, attributes={"transB": 1})
        inputs = [picture, held["network.grouped.weight"], held["network.grouped.bias"]]
        grouped = ir.node("Conv", inputs, attributes={"group": 4, "pads": [1, 1, 1, 1]})
        pointwise = ir.node("Conv", [grouped.outputs[0], held["network.pointwise.weight"]])
        nodes = [embed, up, add, flat, down, grouped, pointwise]
        outputs = [down.outputs[0], pointwise.outputs[0]]
        for output, name in zip(outputs, ("states", "drawn"), strict=True):
            output.name, output.type = name, ir.TensorType(ir.DataType.FLOAT)
        graph = ir.Graph(
            [tokens, picture], outputs, nodes=nodes, initializers=[*held.values(), flat.inputs[1]],
            opset_imports={"": self.opset},
        )  # fmt: skip
        return ir.Model(graph, ir_version=10)


@pytest.fixture(scope="session")
def small():
    return Small()


@pytest.fixture(scope="session")
def small_of_opset():
    return Small


@pytest.fixture(scope="session")
def unet(workshop, tmp_path_factory):
    """tiny-sd's UNet: (path of the graph, torch's network, inputs)."""
    from aquatint.compile.checkpoint import find_checkpoint
    from aquatint.compile.export import export_graph
    from aquatint.compile.family import find_family
    from aquatint.compile.reference import load_stage

    folder = str(workshop.checkpoint("tiny-sd"))
    found = find_checkpoint(folder, revision=None, variant=None, config=None, work=workshop.cache)
    anatomy = find_family("StableDiffusionPipeline").anatomy(found.configs)
    network = next(network for network in anatomy.networks if network.name == "unet")
    module = load_stage(found, anatomy, "denoise").unet
    path = export_graph(network, module, 64, 16, tmp_path_factory.mktemp("unet"))
    rng = np.random.default_rng(0)
    sizes = {"batch": 2, "height/8": 8, "width/8": 8, "tokens": 77}
    feeds = {}
    for value in ir.load(path).graph.inputs:
        shape = [dim if isinstance(dim, int) else sizes[dim.value] for dim in value.shape]
        feeds[value.name] = rng.standard_normal(shape).astype(np.float32)
        if value.name == "timestep":
            feeds["timestep"] = np.full(shape, 500, value.dtype.numpy())
    return path, module, feeds


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """(float graph, feeds of each call) -> its Activations, as compile/calibration.py records them."""
    ort = pytest.importorskip("onnxruntime")
    from aquatint.quantize.activations import WATCHED, Activations, write_call
    from aquatint.quantize.layers import find_layers
    from aquatint.quantize.observe import HIGH, LOW, PLACES, ROWS, observe

    def record(model, calls, rows=64):
        folder = tmp_path_factory.mktemp("recorded")
        (folder / WATCHED).write_text(json.dumps(observe(model, find_layers(model))), encoding="utf-8")
        ir.save(model, folder / "observed.onnx", external_data="observed.data")
        session = ort.InferenceSession(folder / "observed.onnx", providers=["CPUExecutionProvider"])
        told = [output.name for output in session.get_outputs() if output.name.startswith((ROWS, LOW, HIGH))]
        for index, feeds in enumerate(calls):
            places = np.random.default_rng(index).random(rows, np.float32)
            values = session.run(told, {**feeds, PLACES: places})
            write_call(folder, index, dict(zip(told, values, strict=True)))
        return Activations(folder)

    return record


@pytest.fixture(scope="session")
def small_activations(small, recorded):
    """What the small graph's layers are given, in three calls."""
    rng = np.random.default_rng(1)
    feeds = [
        {"tokens": rng.integers(0, 20, (2, 6)), "picture": rng.standard_normal((2, 8, 5, 5)).astype(np.float32)}
        for _ in range(2)
    ]
    return recorded(small.model(), [small.feeds, *feeds])


@pytest.fixture(scope="session")
def unet_activations(unet, recorded):
    """What the UNet's layers are given: the inputs that the tests run it with, and others at two timesteps."""
    path, _, feeds = unet
    rng = np.random.default_rng(1)
    calls = [feeds]
    for timestep in (100, 900):
        drawn = {name: rng.standard_normal(array.shape).astype(np.float32) for name, array in feeds.items()}
        calls.append({**drawn, "timestep": np.full_like(feeds["timestep"], timestep)})
    return recorded(ir.load(path), calls)


@pytest.fixture(scope="session")
def run_ort():
    """(folder of a graph, feeds) -> its outputs."""
    ort = pytest.importorskip("onnxruntime")

    def run(path, feeds):
        options = ort.SessionOptions()
        options.add_session_config_entry(*ORT_FLOATS)
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, feeds)

    return run


@pytest.fixture(scope="session")
def run_openvino():
    """The same by OpenVINO."""
    openvino = pytest.importorskip("openvino")

    def run(path, feeds):
        compiled = openvino.Core().compile_model(path, "CPU", OPENVINO_FLOATS)
        return list(compiled(feeds).to_tuple())

    return run


@pytest.fixture(scope="session")
def dequantized():
    """A graph that was quantized -> {name of the layer: its weight as the graph has it}, by ONNX's own reference."""
    reference = pytest.importorskip("onnx.reference")

    def evaluate(model):
        from aquatint.quantize.weights import LAYER

        marked = []
        for node in model.graph:
            constant = all(value.is_initializer() or value.producer() in marked for value in node.inputs)
            if LAYER in node.metadata_props and constant:  # not those that round what the layer is given
                marked.append(node)
        last = {node.metadata_props[LAYER]: node.outputs[0].name for node in marked}
        read = {value.name: value for node in marked for value in node.inputs if value.is_initializer()}
        empty = ir.Graph([], [], nodes=[], opset_imports=model.graph.opset_imports)
        proto = ir.to_proto(ir.Model(empty, ir_version=10))
        proto.graph.node.extend(ir.to_proto(node) for node in marked)
        for name, value in read.items():
            held = value.const_value
            proto.graph.initializer.add(
                name=name, data_type=held.dtype, dims=held.shape.numpy(), raw_data=held.tobytes()
            )
        for name in last.values():
            proto.graph.output.add().name = name
        outputs = reference.ReferenceEvaluator(proto).run(None, {})
        return dict(zip(last, outputs, strict=True))

    return evaluate
