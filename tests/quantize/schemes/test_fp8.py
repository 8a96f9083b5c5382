"""8-bit floats: PyTorch's codes, standard ONNX, and the error that 3 bits of fraction have."""

import numpy as np
import pytest

from aquatint.quantize.apply import quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.layers import Layer, find_layers
from aquatint.quantize.scheme import find_scheme
from aquatint.quantize.schemes.fp8 import CODES, LARGEST, fake, rounded_floats, scale_of
from aquatint.quantize.weights import SCHEME
from aquatint.runtime.errors import BadProfile

ir = pytest.importorskip("onnx_ir")

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal((64, 192)).astype(np.float32)
ONE = np.float32(1)


def every_float8():
    import ml_dtypes

    values = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    return np.sort(values[np.isfinite(values)])


def quantized(model, activations, **settings):
    quantize_model(model, assign(find_layers(model), [], Rule("fp8", settings=settings)), activations)
    return model


@pytest.mark.parametrize("size", [1e-4, 1e-2, 1, 100])
def test_codes_are_pytorchs_own_bytes(size):
    torch = pytest.importorskip("torch")
    values = NORMAL * np.float32(size)
    theirs = torch.from_numpy(values).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    assert np.array_equal(rounded_floats(values, ONE).view(np.uint8), theirs)


def test_halves_go_to_the_even_code_and_what_is_too_large_to_the_largest():
    levels = every_float8()
    between = (levels[1:] + levels[:-1]) / 2
    back = fake(between, ONE, None)
    even = rounded_floats(back, ONE).view(np.uint8) % 2 == 0
    assert even.all()
    assert np.array_equal(fake(np.float32([449, 1e30, -480, 464.1]), ONE, None), [448, 448, -448, 448])
    assert levels.max() == LARGEST


def test_every_float8_comes_back_bit_for_bit():
    levels = every_float8()
    assert np.array_equal(fake(levels * np.float32(0.25), np.float32(0.25), None), levels * np.float32(0.25))


def test_many_weights_are_rounded_in_slices_as_few():
    weight = RNG.standard_normal((300, 500)).astype(np.float32)
    whole = rounded_floats(weight, np.float32(0.01))
    rows = np.stack([rounded_floats(row, np.float32(0.01)) for row in weight])
    assert whole.tobytes() == rows.tobytes()


def test_the_error_of_normal_weights_is_that_of_three_bits_of_fraction():
    # A number m * 2^e, m even in [1, 2), is off by 2^-3 / sqrt(12) of 2^e: 2.6 % of its size where sizes are log-even.
    error = np.sqrt(np.mean((fake(NORMAL, scale_of(NORMAL), None) - NORMAL) ** 2) / np.mean(NORMAL**2))
    assert error == pytest.approx(0.0263, rel=0.05)
    assert CODES.lost(NORMAL).sum() == pytest.approx(error**2 * np.sum(NORMAL**2), rel=1e-4)
    assert CODES.lost(NORMAL.reshape(16, 12, 8, 8)).shape == (12,)


def test_a_scale_for_each_output_would_gain_little():
    # The reason for one scale: channels of sizes up to 30 times apart.
    weight = NORMAL * np.geomspace(1, 30, 64, dtype=np.float32)[:, None]
    one = np.mean((fake(weight, scale_of(weight), None) - weight) ** 2)
    each = np.mean([(fake(row, scale_of(row), None) - row) ** 2 for row in weight])
    assert one == pytest.approx(each, rel=0.1)


@pytest.mark.parametrize("value", [0.0, -0.0, 0.3, -0.7, 1e-45, 3.4e38])
def test_a_weight_of_one_magnitude_is_exact(value):
    weight = np.full((4, 9), value, np.float32) * np.where(RNG.random((4, 9)) < 0.5, -1, 1).astype(np.float32)
    assert np.array_equal(fake(weight, scale_of(weight), None), weight)


def test_weights_too_small_for_a_scale_are_zeros():
    weight = np.array([[1e-45, 0.0]], np.float32)
    assert scale_of(weight) == 1
    assert not fake(weight, scale_of(weight), None).any()


def test_the_graph_has_one_scale_on_both_sides_and_8_bit_floats(small, small_activations):
    model = quantized(small.model(), small_activations)
    held = model.graph.initializers
    for name, weight in (("block.0.up", small.weights["up"]), ("down", small.weights["network.down.weight"])):
        value = small_activations.value(name)
        assert held[f"{name}.codes"].dtype == ir.DataType.FLOAT8E4M3FN
        assert held[f"{name}.codes"].shape == list(weight.shape)
        assert held[f"{value}.fp8.zero_point"].dtype == ir.DataType.FLOAT8E4M3FN
        assert held[f"{value}.fp8.zero_point"].const_value.tobytes() == b"\0"
        for scale in (held[f"{name}.scale"], held[f"{value}.fp8.scale"]):
            assert (scale.dtype, tuple(scale.shape)) == (ir.DataType.FLOAT, ())
        assert held[f"{name}.codes"].const_value.tobytes() == rounded_floats(weight, scale_of(weight)).tobytes()


def test_onnxs_own_reference_gives_the_rounded_layer(small, small_activations):
    reference = pytest.importorskip("onnx.reference")
    model = quantized(small.model(), small_activations)
    value = small_activations.value("down")
    scale = model.graph.initializers[f"{value}.fp8.scale"].const_value.numpy()
    w = small.weights
    up, down = (fake(w[name], scale_of(w[name]), None) for name in ("up", "network.down.weight"))
    first = model.graph.initializers[f"{small_activations.value('block.0.up')}.fp8.scale"].const_value.numpy()
    embedded = fake(w["network.embed.weight"][small.feeds["tokens"]], first, None)
    given = fake((embedded @ up + w["network.up.bias"]).reshape(-1, 192), scale, None)
    expected = given @ down.T + w["network.down.bias"]
    states = reference.ReferenceEvaluator(ir.to_proto(model)).run(["states"], small.feeds)[0]
    # Sums in another order may move a number past a half: a sixteenth of it, of one in 192.
    assert np.sqrt(np.mean((states - expected) ** 2) / np.mean(expected**2)) < 2e-3


def test_layers_that_share_a_value_share_one_pair_and_none_has_factors(unet, unet_activations):
    model = quantized(ir.load(unet[0]), unet_activations)
    pairs = [node for node in model.graph if node.op_type == "QuantizeLinear"]
    weights = [node for node in model.graph if node.op_type == "DequantizeLinear"]
    ours = {node.metadata_props["aquatint.layer"] for node in weights if node.metadata_props[SCHEME] == "fp8"}
    assert len(pairs) < len(ours)
    assert not any(name.endswith(".factors") for name in model.graph.initializers)


def test_the_range_of_least_error_is_no_worse_than_the_extremes(small_activations, small):
    from aquatint.quantize.ranges import Wishes, find_range

    for method in ("error", "percentile"):
        found, extremes = (
            find_range(small_activations.of("down"), small.weights["network.down.weight"], wishes, CODES)
            for wishes in (Wishes(method, True, balance=False), Wishes("extremes", True, balance=False))
        )
        if method == "error":
            assert found.error <= extremes.error
        assert found.zero_point is None
        given = small_activations.of("down")
        assert extremes.scale == pytest.approx(max(given.high.max(), -given.low.min()) / 448, rel=1e-6)
        assert 0 < found.scale <= extremes.scale


@pytest.mark.parametrize("shape, name", [((16, 15), "to_q"), ((15, 16), "to_q"), ((64, 64, 1, 1), "a.conv_shortcut")])
def test_it_refuses_what_int8_refuses(shape, name):
    layer = Layer(name, "linear" if len(shape) == 2 else "conv", shape, "w")
    fp8, int8 = find_scheme("fp8"), find_scheme("int8")
    assert fp8.refusal(layer, fp8.SETTINGS) == int8.refusal(layer, int8.SETTINGS) is not None
    assert fp8.FALLBACK == "int8-weights"


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"method": "entropy"}, "fp8 has method error, percentile, extremes, not 'entropy'"),
        ({"percentile": 50}, "fp8's percentile is from 90 to 100, not 50"),
        ({"symmetric": True}, "fp8 has no setting symmetric; known: method, percentile"),
    ],
)
def test_settings_that_can_not_be_are_refused(settings, said):
    with pytest.raises(BadProfile, match=said):
        Rule("fp8", settings=settings)
