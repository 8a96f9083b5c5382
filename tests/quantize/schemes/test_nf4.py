"""NF4 against bitsandbytes, byte for byte."""

import numpy as np
import pytest

from aquatint.quantize.apply import quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.layers import find_layers
from aquatint.quantize.schemes.nf4 import BLOCK, BOUNDS, LEVELS, absmax_of, codes_of, packed

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
