"""Graphs as Optimum exports them, given our inputs and outputs."""

import numpy as np
import pytest

from aquatint.compile.family import Network
from aquatint.compile.onnx_folder import is_one, pipeline_class, take_graph
from aquatint.compile.passes.fix_dims import fix_dims
from aquatint.runtime.errors import BadModel
from aquatint.runtime.manifest import TensorSpec
from aquatint.runtime.shapes import ShapeRange

ir = pytest.importorskip("onnx_ir")
ort = pytest.importorskip("onnxruntime")

LATENTS = ("batch", 4, "height/8", "width/8")
UNET = Network(
    "unet", "unet", "denoise",
    (TensorSpec("sample", "float32", LATENTS), TensorSpec("timestep", "float32", (1,))),
    (TensorSpec("out_sample", "float32", LATENTS),), lambda network: None,
)  # fmt: skip
STATES = ("batch", 77)
TEXT = Network(
    "text_encoder", "text_encoder", "text", (TensorSpec("input_ids", "int64", ("batch", 77)),),
    (TensorSpec("hidden_states", "float32", STATES),), lambda network: None,
)  # fmt: skip
SAMPLE = np.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(np.float32)


def value(name, dtype, dims):
    return ir.Value(name=name, type=ir.TensorType(ir.DataType[dtype]), shape=ir.Shape(dims))


def named(node, name, dims):
    output = node.outputs[0]
    output.name, output.type, output.shape = name, ir.TensorType(ir.DataType.FLOAT), ir.Shape(dims)
    return output


def save(folder, part, inputs, outputs, nodes):
    (folder / part).mkdir(parents=True, exist_ok=True)
    graph = ir.Graph(inputs, outputs, nodes=nodes, opset_imports={"": 18}, name="optimum")
    ir.save(ir.Model(graph, ir_version=8), folder / part / "model.onnx")


def write_unet(folder, rank=0, dtype="INT64"):
    """out_sample = sample * timestep + 1; the dimensions are named as Optimum names them, and `doubled` is not ours."""
    dims = ["batch_size", "num_channels", "height", "width"]
    sample, timestep = value("sample", "FLOAT", dims), value("timestep", dtype, ["steps"] * rank)
    number = ir.node("Cast", [timestep], attributes={"to": ir.DataType.FLOAT})
    product = ir.node("Mul", [sample, number.outputs[0]])
    one = ir.node("Constant", [], attributes={"value": ir.tensor(np.float32(1))})
    out = ir.node("Add", [product.outputs[0], one.outputs[0]])
    doubled = ir.node("Add", [product.outputs[0], product.outputs[0]])
    outputs = [named(doubled, "doubled", dims), named(out, "out_sample", dims)]
    save(folder, "unet", [sample, timestep], outputs, [number, product, one, out, doubled])


def write_text_encoder(folder, layers):
    """hidden_states.i = input_ids + i, and last_hidden_state."""
    ids = value("input_ids", "INT32", ["batch_size", "sequence_length"])
    wide = ir.node("Cast", [ids], attributes={"to": ir.DataType.FLOAT})
    nodes, outputs = [wide], []
    for layer in range(layers):
        constant = ir.node("Constant", [], attributes={"value": ir.tensor(np.float32(layer))})
        nodes += [constant, ir.node("Add", [wide.outputs[0], constant.outputs[0]])]
        outputs.append(named(nodes[-1], f"hidden_states.{layer}", ["batch_size", "sequence_length"]))
    nodes.append(ir.node("Identity", [wide.outputs[0]]))
    outputs.append(named(nodes[-1], "last_hidden_state", ["batch_size", "sequence_length"]))
    save(folder, "text_encoder", [ids], outputs, nodes)


def run(path, feeds, outputs=None):
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(outputs, feeds)))


def shapes(model):
    values = (*model.graph.inputs, *model.graph.outputs)
    return [[dim if isinstance(dim, int) else dim.value for dim in value.shape] for value in values]


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("dtype", ["INT64", "FLOAT", "DOUBLE"])
def test_our_timestep_reaches_the_graph_as_its_own_type_and_rank(tmp_path, rank, dtype):
    write_unet(tmp_path, rank, dtype)
    step = np.array(7).astype({"INT64": np.int64, "FLOAT": np.float32, "DOUBLE": np.float64}[dtype]).reshape([1] * rank)
    theirs = run(tmp_path / "unet" / "model.onnx", {"sample": SAMPLE, "timestep": step})
    taken = take_graph(UNET, tmp_path, tmp_path)
    ours = run(taken, {"sample": SAMPLE, "timestep": np.array([7], np.float32)})
    assert list(ours) == ["out_sample"]
    assert np.array_equal(ours["out_sample"], theirs["out_sample"])
    np.testing.assert_allclose(ours["out_sample"], SAMPLE * 7 + 1, rtol=1e-6)


def test_dimensions_get_our_words(tmp_path):
    write_unet(tmp_path)
    model = ir.load(take_graph(UNET, tmp_path, tmp_path))
    assert shapes(model) == [list(LATENTS), [1], list(LATENTS)]


def test_a_taken_graph_can_be_made_static(tmp_path):
    write_unet(tmp_path)
    model = ir.load(take_graph(UNET, tmp_path, tmp_path))
    fix_dims(model, {"batch": ShapeRange(2, 2, 2), "height": ShapeRange(64, 64, 64), "width": ShapeRange(64, 64, 64)})
    assert shapes(model) == [[2, 4, 8, 8], [1], [2, 4, 8, 8]]
    ir.save(model, tmp_path / "static.onnx")
    found = run(tmp_path / "static.onnx", {"sample": SAMPLE, "timestep": np.array([7], np.float32)})
    np.testing.assert_allclose(found["out_sample"], SAMPLE * 7 + 1, rtol=1e-6)


def test_what_only_served_other_outputs_is_dropped(tmp_path):
    write_unet(tmp_path)
    assert "doubled" not in [o.name for o in ir.load(take_graph(UNET, tmp_path, tmp_path)).graph.outputs]
    kinds = [node.op_type for node in ir.load(tmp_path / "model.onnx").graph]
    assert kinds.count("Add") == 1


@pytest.mark.parametrize("layers, expected", [(2, 0), (3, 1), (12, 10)])
def test_of_all_layers_states_the_last_but_one_is_taken(tmp_path, layers, expected):
    write_text_encoder(tmp_path, layers)
    ids = np.arange(154, dtype=np.int64).reshape(2, 77)
    found = run(take_graph(TEXT, tmp_path, tmp_path), {"input_ids": ids})
    assert list(found) == ["hidden_states"]
    assert np.array_equal(found["hidden_states"], ids + expected)


def test_a_missing_output_lists_those_that_are_there(tmp_path):
    write_text_encoder(tmp_path, layers=1)
    with pytest.raises(BadModel, match=r"no output hidden_states; it has hidden_states\.0, last_hidden_state"):
        take_graph(TEXT, tmp_path, tmp_path)


def test_a_missing_input_lists_those_that_are_there(tmp_path):
    write_unet(tmp_path)
    told = TensorSpec("encoder_hidden_states", "float32", STATES)
    asking = Network("unet", "unet", "denoise", (*UNET.inputs, told), UNET.outputs, UNET.call)
    with pytest.raises(BadModel, match="no input encoder_hidden_states; it has sample, timestep"):
        take_graph(asking, tmp_path, tmp_path)


def test_an_input_that_we_would_never_feed_is_refused(tmp_path):
    write_unet(tmp_path)
    blind = Network("unet", "unet", "denoise", UNET.inputs[:1], UNET.outputs, UNET.call)
    with pytest.raises(BadModel, match="timestep"):
        take_graph(blind, tmp_path, tmp_path)


def test_a_missing_graph_is_named(tmp_path):
    with pytest.raises(BadModel, match=r"has no unet/model\.onnx"):
        take_graph(UNET, tmp_path, tmp_path)


def test_a_graph_that_is_none_is_a_bad_model(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BadModel, match=r"unet/model\.onnx"):
        take_graph(UNET, tmp_path, tmp_path)


def test_a_folder_of_graphs_is_known_by_its_denoiser(tmp_path):
    assert not is_one(tmp_path)
    write_unet(tmp_path)
    assert is_one(tmp_path)


@pytest.mark.parametrize("prefix", ["ORT", "Onnx", "OV", ""])
def test_optimums_class_names_are_diffusers_behind_a_prefix(prefix):
    assert pipeline_class(f"{prefix}StableDiffusionXLPipeline") == "StableDiffusionXLPipeline"
