"""The noise of a seed, against torch itself."""

import time

import numpy as np
import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.random import TorchGenerator, randn_tensor

torch = pytest.importorskip("torch")

# The uniforms are the same bits; logarithm, sine and cosine are other float32 code than torch's, each off by an ulp or
# two, on values up to 5.8, whose ulp is 4.8e-7. Without AVX2 (on ARM, say) torch multiplies the angle by a double 2 pi,
# which moves it by up to an ulp more, 4.8e-7, times a radius of up to 5.8.
TOLERANCE = 1e-6 if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") else 3e-6


def both(seed, shapes):
    """The draws of one generator after another, as [(ours, torch's)]."""
    ours, theirs = TorchGenerator(seed), torch.Generator("cpu").manual_seed(seed)
    return [(ours.randn(shape), torch.randn(shape, generator=theirs).numpy()) for shape in shapes]


def assert_same(pairs):
    for ours, theirs in pairs:
        assert ours.dtype == np.float32
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31, 2**32 - 1, 2**32 + 5, 2**64 - 1, -1, -7, -(2**31), -(2**63)])
def test_every_seed_gives_torchs_noise(seed):
    assert_same(both(seed, [(1, 4, 8, 8), (3,)]))


@pytest.mark.parametrize("count", [0, 1, 2, 7, 15, 16, 17, 31, 32, 33, 100, 623, 624, 625, 1000, 4096, 65537])
def test_every_count_gives_torchs_noise_and_leaves_torchs_state(count):
    assert_same(both(42, [(count,), (16,), (1,)]))


def test_the_second_value_of_a_pair_waits_across_larger_draws():
    assert_same(both(3, [(3,), (64,), (1,), (20,), (2,), (1,), (5,), (16,), (7,)]))


def test_an_empty_draw_does_not_move_the_generator():
    assert_same(both(5, [(0, 4), (1,), (0,), (1,), (2, 0, 3), (40,)]))


def test_many_draws_in_a_row_follow_torch():
    rng = np.random.default_rng(0)
    assert_same(both(1234, [tuple(rng.integers(1, 9, size=rng.integers(0, 4)).tolist()) for _ in range(200)]))


@pytest.mark.parametrize("count", [1, 7, 15, 16, 17, 31, 32, 33, 100, 4096])
def test_every_count_in_half_precision_gives_torchs_noise_and_leaves_torchs_state(count):
    ours, theirs = TorchGenerator(42), torch.Generator("cpu").manual_seed(42)
    noise = ours.randn((count,), np.float16)
    assert noise.dtype == np.float16
    expected = torch.randn((count,), generator=theirs, dtype=torch.float16).numpy()
    # Rounded from float32 values that may differ in their last bits: the same, or the neighbour, 2**-11 of it away.
    np.testing.assert_allclose(noise, expected, rtol=1e-3, atol=0)
    assert (noise != expected).mean() < 0.01
    assert_same([(ours.randn((20,)), torch.randn((20,), generator=theirs).numpy())])


def test_a_large_draw_is_torchs_own_and_takes_milliseconds():
    generator = TorchGenerator(7)
    start = time.perf_counter()
    ours = generator.randn((4, 4, 128, 128))
    seconds = time.perf_counter() - start
    theirs = torch.randn((4, 4, 128, 128), generator=torch.Generator().manual_seed(7)).numpy()
    assert_same([(ours, theirs)])
    # 2 ms on one slow core; a loop over the values would take a second.
    assert seconds < 0.2


def test_the_noise_is_standard_normal():
    noise = TorchGenerator(11).randn((100_000,))
    # The mean of n draws has deviation 1 / sqrt(n) = 0.003, their variance sqrt(2 / n) = 0.0045; four of each.
    assert abs(noise.mean()) < 0.0127
    assert abs(noise.var() - 1) < 0.018


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_that_torch_refuses_is_refused(seed):
    with pytest.raises(ValueError, match="Overflow"):
        torch.Generator().manual_seed(seed)
    with pytest.raises(BadRequest, match="out of range"):
        TorchGenerator(seed)


@pytest.mark.parametrize("seeds", [(5,), (5, 6, 7)])
def test_a_batch_of_generators_draws_as_in_diffusers(seeds):
    diffusers_randn_tensor = pytest.importorskip("diffusers.utils.torch_utils").randn_tensor
    shape = (3, 4, 3, 3)
    ours = [TorchGenerator(seed) for seed in seeds]
    theirs = [torch.Generator().manual_seed(seed) for seed in seeds]
    for _ in range(2):
        expected = diffusers_randn_tensor(shape, generator=theirs, dtype=torch.float32).numpy()
        assert_same([(randn_tensor(shape, ours), expected)])


def test_one_generator_draws_the_whole_batch():
    np.testing.assert_array_equal(randn_tensor((2, 9), TorchGenerator(1)), TorchGenerator(1).randn((2, 9)))


def test_generators_that_do_not_fit_the_batch_are_refused():
    with pytest.raises(BadRequest, match="2 generators for a batch of 3"):
        randn_tensor((3, 4), [TorchGenerator(1), TorchGenerator(2)])
