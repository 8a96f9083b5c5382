"""An exported graph: its words, its whole operators, and what stays in memory."""

import gc
import weakref

import onnx_ir as ir
import pytest

from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.export import OPSET, export_graph
from aquatint.compile.family import find_family
from aquatint.compile.reference import load_stage


@pytest.fixture(scope="module")
def exported(workshop, tmp_path_factory):
    """The text encoder's graph, and a weak reference to one of the weights that it was made from."""
    found = find_checkpoint(
        str(workshop.checkpoint("tiny-sd")), revision=None, variant=None, config=None, work=workshop.cache
    )
    anatomy = find_family("StableDiffusionPipeline").anatomy(found.configs)
    pipe = load_stage(found, anatomy, "text")
    network = next(network for network in anatomy.networks if network.name == "text_encoder")
    path = export_graph(network, pipe.text_encoder, 64, 16, tmp_path_factory.mktemp("graph"))
    return path, weakref.ref(next(pipe.text_encoder.parameters()))


def test_the_weights_are_given_back_when_the_checkpoint_is_released(exported):
    gc.collect()
    assert exported[1]() is None


def test_attention_norms_and_activations_stay_whole(workshop):
    kinds = {
        name: {node.op_type for node in ir.load(workshop.bundle("tiny-sd", "ort:cpu") / name / "model.onnx").graph}
        for name in ("text_encoder", "unet", "vae_decoder")
    }
    assert {"Attention", "LayerNormalization"} <= kinds["text_encoder"]
    assert {"Attention", "GroupNormalization", "LayerNormalization", "Gelu"} <= kinds["unet"]
    assert {"Attention", "GroupNormalization"} <= kinds["vae_decoder"]
    assert not any("Softmax" in found or "Erf" in found for found in kinds.values())


def test_dimensions_are_called_by_our_words(exported):
    model = ir.load(exported[0])
    assert model.graph.opset_imports[""] == OPSET
    assert [str(dim) for dim in model.graph.inputs[0].shape] == ["batch", "77"]
    assert [str(dim) for dim in model.graph.outputs[0].shape] == ["batch", "77", "32"]
