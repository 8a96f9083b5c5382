"""NF4 in OpenVINO: constants of its own type, which its CPU plugin computes from."""

import platform

import numpy as np
import pytest

from aquatint.targets.lowering.openvino_nf4 import lower_nf4

openvino = pytest.importorskip("openvino")


@pytest.fixture
def artifact(quantized, built):
    return openvino.Core().read_model(built(quantized("nf4"), "openvino:cpu"))


def constants(model):
    return {
        node.get_friendly_name(): node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.nf4
    }


def test_every_layer_is_a_constant_of_nf4(artifact):
    shapes = {name: list(node.get_output_shape(0)) for name, node in constants(artifact).items()}
    assert shapes == {
        "up.codes": [192, 2, 64],
        "flipped.codes": [64, 3, 64],
        "narrow.codes": [100, 1, 64],
        "straddling.codes": [150, 64],
        "down.codes": [96, 64],
        "again.codes": [64, 1, 64],
    }


def test_its_bytes_are_bitsandbytes_own_with_their_halves_swapped(artifact, weights):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    for name, node in constants(artifact).items():
        weight = torch.from_numpy(weights[name.replace("codes", "weight")])
        codes, state = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
        high = codes.numpy().reshape(-1)
        assert np.array_equal(node.data, (high << 4) | (high >> 4))
        (convert,) = node.output(0).get_target_inputs()
        (multiply,) = convert.get_node().output(0).get_target_inputs()
        absmax = multiply.get_node().input_value(1).get_node()
        assert absmax.data.tobytes() == state.absmax.numpy().tobytes()


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="only x86 has these kernels")
def test_the_cpu_keeps_whole_rows_compressed(artifact):
    compiled = openvino.Core().compile_model(artifact, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = [node.get_rt_info()["layerType"].astype(str) for node in compiled.get_runtime_model().get_ordered_ops()]
    assert kinds.count("Convert") == 2  # of the two whose blocks go over the ends of rows


def test_other_levels_stay_plain_and_a_second_pass_changes_nothing(quantized, tmp_path):
    ir = pytest.importorskip("onnx_ir")
    model = quantized("nf4")
    ir.save(model, tmp_path / "as_is.onnx")
    table = next(value for name, value in model.graph.initializers.items() if name.endswith("levels"))
    table.const_value = ir.Tensor(table.const_value.numpy() * np.float32(0.99), name=table.name)
    ir.save(model, tmp_path / "other.onnx")
    right, other = (openvino.Core().read_model(tmp_path / f"{name}.onnx") for name in ("as_is", "other"))
    assert lower_nf4(other) == 0
    assert lower_nf4(right) == 6
    assert lower_nf4(right) == 0
