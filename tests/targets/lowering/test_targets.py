"""One quantized graph, built for each target: the same numbers everywhere."""

import numpy as np
import pytest

from aquatint.quantize.assign import Rule
from aquatint.runtime.target import Target
from aquatint.targets import backend

ir = pytest.importorskip("onnx_ir")

ENGINES = {"ort:cpu": "onnxruntime", "openvino:cpu": "openvino"}
PLAIN = {"feedback": False}  # there is no calibration here
UNEVEN = {**PLAIN, "symmetric": False}
MIXED = (Rule("int4", "up", settings=UNEVEN), Rule("nf4", "again"), Rule("none", "narrow"))
VARIANTS = {
    "int8-weights": ("int8-weights", {}, ()),
    "int4": ("int4", PLAIN, ()),
    "int4 of 32": ("int4", {**PLAIN, "group_size": 32}, ()),
    "int4 asymmetric": ("int4", UNEVEN, ()),
    "nf4": ("nf4", {}, ()),
    "mixed": ("int4", PLAIN, MIXED),
}


@pytest.mark.parametrize("word", ENGINES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_target_gives_what_the_quantized_graph_says(variant, word, quantized, built, run, referee):
    pytest.importorskip(ENGINES[word])
    model = quantized(*VARIANTS[variant])
    expected = referee(model)
    given = run(built(model, word), word)
    # Sums of float32 in another order; activations that were rounded to 8 bits would give 3e-3.
    assert np.linalg.norm(given - expected) <= 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("word", ENGINES)
@pytest.mark.parametrize("variant, bits", [("int4 of 32", 5), ("nf4", 4.5)])
def test_an_artifact_is_as_small_as_its_codes_and_scales(variant, bits, word, quantized, built, weights):
    pytest.importorskip(ENGINES[word])
    # int4 can't have the layer of 100 inputs, which gets 8 bits and a scale for each output.
    each = {name: 8.32 if variant != "nf4" and name == "straddling.weight" else bits for name in weights}
    promised = sum(weights[name].size * each[name] / 8 for name in weights)
    path = built(quantized(*VARIANTS[variant]), word)
    held = sum(file.stat().st_size for file in path.parent.iterdir() if file.suffix in (".bin", ".data"))
    assert held <= promised + 1000  # one bias, and alignment


@pytest.mark.parametrize("variant, operator, count", [("nf4", "MatMulBnb4", 7), ("int4", "MatMulNBits", 6)])
def test_the_artifact_of_onnx_runtime_has_its_own_operators(variant, operator, count, quantized, built):
    path = built(quantized(*VARIANTS[variant]), "ort:cpu")
    assert [node.op_type for node in ir.load(path).graph].count(operator) == count


def test_a_graph_in_floats_is_copied_as_it_is(quantized, built, tmp_path):
    path = built(quantized("none"), "ort:cpu")
    assert path.read_bytes() == (tmp_path / "model.onnx").read_bytes()


def test_schemes_are_named_for_every_device():
    for word in ("ort:cpu", "openvino:cpu", "openvino:gpu", "openvino:npu"):
        target = Target.parse(word)
        schemes = backend(target).schemes(target.device)
        assert {"int8-weights", "int4"} <= set(schemes)
        assert ("nf4" in schemes) == (target.device == "cpu")
