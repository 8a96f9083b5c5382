"""What is known of a component before its export, against what its graph turns out to hold."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from aquatint.compile import foreseen
from aquatint.compile.cache import Cache
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.embeddings import Embedding
from aquatint.compile.family import Network
from aquatint.compile.foreseen import layers_of, stored_bytes, weights_of
from aquatint.compile.lora import Lora
from aquatint.compile.plan import make_plan
from aquatint.profiles.profile import read_profile
from aquatint.quantize.assign import Rule, assign
from aquatint.runtime.errors import BadModel
from aquatint.runtime.manifest import TensorSpec
from aquatint.runtime.precision import Precision

ir = pytest.importorskip("onnx_ir")
safetensors = pytest.importorskip("safetensors.numpy")
pytest.importorskip("diffusers")

LATENTS = ("batch", 4, "height/8", "width/8")
UNET = Network(
    "unet", "unet", "denoise", (TensorSpec("sample", "float32", LATENTS),),
    (TensorSpec("out_sample", "float32", LATENTS),), lambda network: None,
)  # fmt: skip
# Without feedback int4 needs no calibration, and takes as much.
RULES = [Rule("none"), Rule("int8-weights"), Rule("int4", settings={"feedback": False})]
# What a text encoder's graph holds besides weights: the causal mask, 77 by 77 booleans, and numbers of shapes.
CONSTANTS_BYTES = 77 * 77 + 512


def find(folder):
    return find_checkpoint(str(folder), revision=None, variant=None, config=None, work=Path("/nowhere"))


def plan_of(checkpoint):
    return make_plan(checkpoint, "ort:cpu", read_profile("exact"), output=checkpoint.folder / "never")


def network_of(checkpoint, component):
    return next(network for network in plan_of(checkpoint).anatomy.networks if network.name == component)


def described(layers):
    return sorted((layer.name, layer.kind, layer.shape) for layer in layers)


@pytest.fixture(scope="module")
def graphs(workshop):
    """Name of a checkpoint -> the checkpoint, its networks, and component -> its exported graph."""
    from aquatint.compile.torch_source import TorchSource

    @cache
    def export(name):
        workshop.bundle(name, "ort:cpu")  # which leaves the graphs in the cache that all tests share
        checkpoint = find(workshop.checkpoint(name))
        plan = plan_of(checkpoint)
        source = TorchSource(plan, Cache(workshop.cache))
        for stage in source.stages:
            source.run(stage)
        networks = plan.anatomy.networks
        return checkpoint, networks, {network.name: source.graph(network.name) for network in networks}

    return export


@pytest.fixture
def tiny(workshop, tmp_path):
    """A copy of tiny-sd, to change."""
    shutil.copytree(workshop.checkpoint("tiny-sd"), tmp_path / "tiny-sd")
    return tmp_path / "tiny-sd"


def rewrite(folder, change):
    """Write a folder's only weight file again.  change: its arrays by name -> others."""
    (file,) = folder.glob("*.safetensors")
    safetensors.save_file(change(safetensors.load_file(file)), file)


@pytest.mark.parametrize("name", ["tiny-sd", "tiny-sdxl", "tiny-sd-inpaint", "tiny-lcm", "demo"])
def test_the_layers_foreseen_are_those_of_the_exported_graph(graphs, name):
    from aquatint.quantize.layers import find_layers

    checkpoint, networks, paths = graphs(name)
    for network in networks:
        found = find_layers(ir.load(paths[network.name]))
        assert found
        assert described(layers_of(checkpoint, network)) == described(found), network.name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.scheme)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_size_foreseen_is_what_the_quantized_graph_takes(graphs, rule, precision):
    from aquatint.compile.passes.store_weights import store_weights
    from aquatint.quantize.apply import quantize_model
    from aquatint.quantize.layers import find_layers

    checkpoint, networks, paths = graphs("demo")
    for network in networks:
        model = ir.load(paths[network.name])
        quantize_model(model, assign(find_layers(model), [], rule))
        store_weights(model, precision)
        taken = sum(value.const_value.nbytes for value in model.graph.initializers.values())
        assignments = assign(layers_of(checkpoint, network), [], rule)
        known = stored_bytes(weights_of(checkpoint, network), assignments, Precision.parse(precision))
        assert 0 <= taken - known <= CONSTANTS_BYTES, network.name


def test_weights_are_narrowed_from_the_same_size_on_as_in_the_graph():
    from aquatint.compile.passes import store_weights

    assert foreseen.SMALLEST == store_weights.SMALLEST


@pytest.mark.parametrize("component", ["vae_decoder", "vae_encoder"])
def test_attention_by_its_old_names_is_that_of_diffusers_today(tiny, component):
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    before = layers_of(find(tiny), network_of(find(tiny), component))

    def old(name):
        for new, ancient in names.items():
            name = name.replace(f".{new}.", f".{ancient}.")
        return name

    rewrite(tiny / "vae", lambda arrays: {old(name): array for name, array in arrays.items()})
    assert any("proj_attn" in name for name in safetensors.load_file(next((tiny / "vae").glob("*.safetensors"))))
    after = layers_of(find(tiny), network_of(find(tiny), component))
    assert described(after) == described(before)


def test_text_encoders_are_read_with_the_prefix_of_hub_files_and_without(tiny):
    network = network_of(find(tiny), "text_encoder")
    before = layers_of(find(tiny), network)
    rewrite(tiny / "text_encoder", lambda arrays: {f"text_model.{name}": array for name, array in arrays.items()})
    assert described(layers_of(find(tiny), network)) == described(before)


def test_what_a_text_encoders_file_holds_and_its_network_does_not_is_no_layer(tiny):
    network = network_of(find(tiny), "text_encoder")
    extra = {name: np.zeros((32, 32), np.float32) for name in ("text_projection.weight", "vision_model.proj.weight")}
    rewrite(tiny / "text_encoder", lambda arrays: {**arrays, **extra})
    path = tiny / "text_encoder" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 2}))
    numbers = {layer.name.split(".")[2] for layer in layers_of(find(tiny), network)}
    assert numbers == {"0", "1"}  # of three in the file


def test_what_is_merged_leaves_layers_alone_and_16_bits_behind(tiny):
    rewrite(tiny / "unet", lambda arrays: {name: array.astype(np.float16) for name, array in arrays.items()})
    plain = find(tiny)
    merged = replace(plain, loras=(Lora(Path("style.safetensors")),))
    network = network_of(plain, "unet")
    assert layers_of(merged, network) == layers_of(plain, network)
    words = Precision.parse("fp32"), Precision.parse("fp16")
    wide, narrow = (stored_bytes(weights_of(merged, network), [], word) for word in words)
    assert {stored_bytes(weights_of(plain, network), [], word) for word in words} == {narrow}
    assert 1.8 < wide / narrow < 2  # small tensors are in 32 bits always


def test_a_taught_word_adds_its_vectors(tiny):
    plain = find(tiny)
    taught = replace(plain, embeddings=(Embedding(Path("cat.safetensors"), "cat", 3, {"text_encoder": "cat"}),))
    network = network_of(plain, "text_encoder")
    before, after = (stored_bytes(weights_of(found, network), [], Precision.parse("fp32")) for found in (plain, taught))
    assert after - before == 3 * 32 * 4


def value(name, dims, array=None):
    tensor = None if array is None else ir.Tensor(array, name=name)
    kind = ir.TensorType(ir.DataType.FLOAT if tensor is None else tensor.dtype)
    return ir.Value(name=name, type=kind, shape=ir.Shape(dims), const_value=tensor)


def write_graph(folder, dtype=np.float32):
    """out_sample = conv_out(conv_in(sample)); another convolution feeds an output that is not ours."""
    weights = [
        value(f"{name}.weight", shape, np.ones(shape, dtype))
        for name, shape in {"conv_in": (8, 4, 3, 3), "conv_out": (4, 8, 1, 1), "other": (16, 8, 1, 1)}.items()
    ]
    sample = value("sample", LATENTS)
    into = ir.node("Conv", [sample, weights[0]], attributes={"pads": [1, 1, 1, 1]})
    out, other = (ir.node("Conv", [into.outputs[0], weight]) for weight in weights[1:])
    for node, name in ((out, "out_sample"), (other, "pooled")):
        node.outputs[0].name, node.outputs[0].type = name, ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        [sample, weights[0]], [out.outputs[0], other.outputs[0]], nodes=[into, out, other], initializers=weights,
        opset_imports={"": 18}, name="optimum",
    )  # fmt: skip
    (folder / "unet").mkdir(parents=True)
    ir.save(ir.Model(graph, ir_version=8), folder / "unet" / "model.onnx")
    (folder / "model_index.json").write_text('{"_class_name": "ORTStableDiffusionPipeline"}')
    return find(folder)


def test_a_folder_of_graphs_has_the_layers_that_our_outputs_need(tmp_path):
    checkpoint = write_graph(tmp_path / "graphs")
    assert described(layers_of(checkpoint, UNET)) == [
        ("conv_in", "conv", (8, 4, 3, 3)),  # which the graph lists among its inputs, as old ones do
        ("conv_out", "conv", (4, 8, 1, 1)),
    ]
    sizes = [stored_bytes(weights_of(checkpoint, UNET), [], Precision.parse(word)) for word in ("fp32", "fp16")]
    assert sizes == [4 * (288 + 32), 2 * 288 + 4 * 32]


def test_a_graph_that_computes_in_16_bits_is_refused_only_where_it_is_to_be_quantized(tmp_path):
    checkpoint = write_graph(tmp_path / "graphs", np.float16)
    with pytest.raises(BadModel, match=r"unet of .*graphs: conv_in computes in FLOAT16"):
        weights_of(checkpoint, UNET)
    found = weights_of(checkpoint, UNET, quantizing=False)
    assert [weight.layer for weight in found] == [None, None]
    assert stored_bytes(found, [], Precision.parse("fp32")) == 2 * (288 + 32)


def test_a_broken_graph_is_refused(tmp_path):
    checkpoint = write_graph(tmp_path / "graphs")
    (tmp_path / "graphs" / "unet" / "model.onnx").write_bytes(b"graph")
    with pytest.raises(BadModel, match=r"unet/model\.onnx is no ONNX graph"):
        layers_of(checkpoint, UNET)
