"""The noise of a CUDA device, against published vectors and the steps of torch's kernel; no GPU has seen it."""

import numpy as np
import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.philox import PhiloxGenerator, philox


@pytest.mark.parametrize(
    "counter, key, expected",
    [
        ([0, 0, 0, 0], (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([2**32 - 1] * 4, (2**32 - 1, 2**32 - 1), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_random123s_known_answers(counter, key, expected):
    words = philox(np.array(counter, dtype=np.uint64).reshape(4, 1), key)
    assert " ".join(f"{int(word):08x}" for word in words[:, 0]) == expected


def test_the_noise_of_seed_0_is_what_stable_diffusion_webui_publishes():
    # modules/rng_philox.py, "torch cuda randn on CPU", whose pictures its users compare with those of GPUs.
    expected = [
        [-0.92466259, -0.42534415, -2.6438457, 0.14518388],
        [-0.12086647, -0.57972564, -0.62285122, -0.32838709],
        [-1.07454231, -0.36314407, -1.67105067, 2.26550497],
    ]
    # It computes in float64; a float32 angle of up to 6.3 moves a value by up to 2.4e-7 times its radius.
    np.testing.assert_allclose(PhiloxGenerator(0).randn((3, 4)), expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("count", [1, 5, 256, 257, 1000, 2048, 2049, 5000])
def test_values_lie_where_torchs_kernel_puts_them(count):
    # Two blocks at once, at the most: 512 threads, which give 2048 values in a round.
    generator = PhiloxGenerator(2**40 + 3, multiprocessors=1, threads=512)
    for call in _calls(2**40 + 3, [count, 7], largest_grid=2):
        np.testing.assert_allclose(generator.randn((len(call),)), call, rtol=0, atol=5e-6)


def _calls(seed, counts, largest_grid):
    """distribution_elementwise_grid_stride_kernel, one value after another, in float64."""
    offset = 0
    for count in counts:
        grid = min(-(-count // 256), largest_grid)
        values = np.empty(count)
        for thread in range(256 * grid):
            block = offset // 4
            for start in range(thread, count, 256 * grid * 4):
                for i, value in enumerate(_normal4(seed, thread, block)):
                    if start + 256 * grid * i < count:
                        values[start + 256 * grid * i] = value
                block += 1
        offset += ((count - 1) // (256 * grid * 4) + 1) * 4
        yield values


def _normal4(seed, subsequence, block):
    counter = np.array([block, 0, subsequence, 0], dtype=np.uint64).reshape(4, 1)
    words = philox(counter, (seed % 2**32, seed >> 32))[:, 0].astype(np.float64)
    for radial, angular in (words[:2], words[2:]):
        radius = np.sqrt(-2 * np.log((radial + 0.5) / 2**32))
        yield radius * np.sin((angular + 0.5) / 2**32 * 2 * np.pi)
        yield radius * np.cos((angular + 0.5) / 2**32 * 2 * np.pi)


def test_half_precision_is_the_same_noise_rounded():
    noise = PhiloxGenerator(5).randn((4, 33), np.float16)
    assert noise.dtype == np.float16
    np.testing.assert_array_equal(noise, PhiloxGenerator(5).randn((4, 33)).astype(np.float16))


def test_an_empty_draw_does_not_move_the_generator():
    generator = PhiloxGenerator(5)
    assert generator.randn((0, 4)).shape == (0, 4)
    np.testing.assert_array_equal(generator.randn((9,)), PhiloxGenerator(5).randn((9,)))


def test_the_noise_is_standard_normal():
    noise = PhiloxGenerator(11).randn((500_000,))
    # The mean of n draws has deviation 1 / sqrt(n) = 0.0014, their variance sqrt(2 / n) = 0.002; four of each.
    assert abs(noise.mean()) < 0.0057
    assert abs(noise.var() - 1) < 0.008


def test_a_negative_seed_is_taken_as_torch_takes_it():
    np.testing.assert_array_equal(PhiloxGenerator(-1).randn((4,)), PhiloxGenerator(2**64 - 1).randn((4,)))


def test_a_seed_that_torch_refuses_is_refused():
    with pytest.raises(BadRequest, match="out of range"):
        PhiloxGenerator(2**64)
