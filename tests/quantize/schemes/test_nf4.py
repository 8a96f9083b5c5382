"""NF4 against bitsandbytes, byte for byte."""

import numpy as np
import pytest

from aquatint.quantize.apply import quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.doubled import double, levels
from aquatint.quantize.layers import Layer, find_layers
from aquatint.quantize.schemes import nf4
from aquatint.quantize.schemes.nf4 import BLOCK, BOUNDS, LEVELS, absmax_of, codes_of, packed
from aquatint.runtime.errors import BadProfile

rng = np.random.default_rng(0)
SOME = rng.standard_normal((37, 4 * BLOCK))
WEIGHTS = {
    "normal": SOME,
    "heavy-tailed": rng.standard_t(3, SOME.shape),
    "large and small": SOME * 10.0 ** rng.integers(-30, 30, (37, 1)),
    "zeros": np.where(np.arange(37)[:, None] % 2, SOME, 0),
    "half precision": SOME.astype(np.float16),
    "on the bounds": np.tile(np.append(np.repeat(BOUNDS, 4), [1.0, -1.0, 0.0, -0.0]), (3, 1)),
    "denormal": SOME * 1e-40,
}
WEIGHTS = {name: weight.astype(np.float32) for name, weight in WEIGHTS.items()}


@pytest.fixture(scope="module")
def theirs():
    """weight -> (packed codes, absmax, the weight as it comes back)."""
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")

    def quantize(weight):
        tensor = torch.from_numpy(np.ascontiguousarray(weight))
        codes, state = functional.quantize_4bit(tensor, blocksize=BLOCK, quant_type="nf4")
        back = functional.dequantize_4bit(codes, state)
        return codes.numpy().reshape(-1), state.absmax.numpy(), back.numpy()

    return quantize


@pytest.mark.parametrize("name", WEIGHTS)
def test_codes_and_absmax_are_bitsandbytes_own_bytes(name, theirs):
    weight = WEIGHTS[name]
    blocks = weight.reshape(-1, BLOCK)
    codes, absmax, _ = theirs(weight)
    assert absmax_of(blocks).tobytes() == absmax.tobytes()
    assert packed(codes_of(blocks, absmax_of(blocks))).tobytes() == codes.tobytes()


def test_the_graph_gives_the_weights_that_bitsandbytes_gives(theirs, small, dequantized):
    model = small.model()
    quantize_model(model, assign(find_layers(model), [Rule("nf4", kind="linear")], Rule("none")))
    back = dequantized(model)
    assert np.array_equal(back["down"], theirs(small.weights["network.down.weight"])[2])
    assert np.array_equal(back["block.0.up"].T, theirs(small.weights["up"].T)[2])


def test_levels_are_ascending_and_hold_zero_and_both_ends():
    assert (np.diff(LEVELS) > 0).all()
    assert (LEVELS[0], LEVELS[7], LEVELS[15]) == (-1, 0, 1)


def test_every_weight_gets_its_nearest_level():
    blocks = WEIGHTS["normal"].reshape(-1, BLOCK)
    absmax = absmax_of(blocks)
    inner = blocks / absmax[:, None]
    chosen = np.abs(LEVELS[codes_of(blocks, absmax)] - inner)
    nearest = np.abs(LEVELS - inner[..., None]).min(-1)
    assert (chosen <= nearest + 1e-6).all()


def test_layers_share_one_table(small):
    model = small.model()
    quantize_model(model, assign(find_layers(model), [Rule("nf4", kind="linear")], Rule("none")))
    tables = [value for value in model.graph.initializers.values() if value.const_value.size == LEVELS.size]
    assert [value.name for value in tables if "levels" in value.name] == ["aquatint.nf4.levels"]


@pytest.fixture(scope="module")
def doubled_by_theirs():
    """weight -> (codes, sizes, table, offset of the double quantization, the weight as it comes back)."""
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")

    def quantize(weight):
        tensor = torch.from_numpy(np.ascontiguousarray(weight))
        codes, state = functional.quantize_4bit(tensor, blocksize=BLOCK, quant_type="nf4", compress_statistics=True)
        back = functional.dequantize_4bit(codes, state)
        second = state.state2
        assert second.blocksize == 256
        kept = (state.absmax, second.absmax, second.code, state.offset, back)
        return codes.numpy().reshape(-1), *(tensor.numpy() for tensor in kept)

    return quantize


# Of denormal scales, bitsandbytes takes the inverse, which overflows.
@pytest.mark.parametrize("name", [name for name in WEIGHTS if name != "denormal"])
def test_double_quantization_has_bitsandbytes_own_bytes(name, doubled_by_theirs):
    weight = WEIGHTS[name]
    absmax = absmax_of(weight.reshape(-1, BLOCK))
    packed_codes, codes, sizes, table, offset, _ = doubled_by_theirs(weight)
    ours = double(absmax, np.float32(offset))
    assert levels().tobytes() == table.tobytes()
    assert ours.codes.tobytes() == codes.tobytes()
    assert ours.sizes.tobytes() == sizes.tobytes()
    # torch adds up in float32, in an order that depends on the processor.
    assert double(absmax).offset == pytest.approx(float(offset), rel=1e-6, abs=1e-45)
    assert packed(codes_of(weight.reshape(-1, BLOCK), absmax)).tobytes() == packed_codes.tobytes()


@pytest.mark.parametrize("count", [1, 255, 256, 257, 5000])
def test_any_number_of_scales_has_their_bytes(count, doubled_by_theirs):
    weight = np.random.default_rng(count).standard_normal((count, BLOCK)).astype(np.float32)
    _, codes, sizes, _, offset, _ = doubled_by_theirs(weight)
    ours = double(absmax_of(weight), np.float32(offset))
    assert (ours.codes.tobytes(), ours.sizes.tobytes()) == (codes.tobytes(), sizes.tobytes())


def test_the_graph_gives_the_doubly_quantized_weights_that_bitsandbytes_gives(doubled_by_theirs, small, dequantized):
    model = small.model()
    rule = Rule("nf4", kind="linear", settings={"double": True})
    quantize_model(model, assign(find_layers(model), [rule], Rule("none")))
    back = dequantized(model)
    # But for the last bit of the mean.
    np.testing.assert_allclose(back["down"], doubled_by_theirs(small.weights["network.down.weight"])[-1], rtol=1e-6)
    np.testing.assert_allclose(back["block.0.up"].T, doubled_by_theirs(small.weights["up"].T)[-1], rtol=1e-6)


def test_double_takes_less_and_costs_little(small, dequantized):
    weight, found = small.weights["network.down.weight"], {}
    for doubled in (False, True):
        model = small.model()
        rule = Rule("nf4", kind="linear", settings={"double": doubled})
        quantize_model(model, assign(find_layers(model), [rule], Rule("none")))
        found[doubled] = np.mean((dequantized(model)["down"] - weight) ** 2)
    assert found[True] == pytest.approx(found[False], rel=0.02)
    layer = Layer("to_q", "linear", (1280, 1280), "w")
    bits = [8 * nf4.size_bytes(layer, {"double": doubled}) / layer.parameters for doubled in (False, True)]
    assert bits == pytest.approx([4.5, 4 + 8 / 64 + 32 / 64 / 256], rel=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.3, 1e-20])
def test_scales_that_are_all_one_stay(value):
    absmax = np.full(300, value, np.float32)
    ours = double(absmax)
    sizes = np.repeat(ours.sizes, 256)[:300]
    assert np.array_equal(levels()[ours.codes] * sizes + ours.offset, absmax)


def test_double_is_true_or_false():
    with pytest.raises(BadProfile, match="nf4's double is true or false, not 8"):
        Rule("nf4", settings={"double": 8})
