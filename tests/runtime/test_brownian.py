"""Brownian motion of a seed, against torchsde: itself where it is installed, and numbers that it gave."""

import numpy as np
import pytest

from aquatint.runtime.brownian import BrownianTree

# torchsde 0.2.6 with torch 2.13.0: BrownianInterval(0.03, 14.6, size=(2, 2), entropy=7, tol=1e-6, pool_size=24,
# halfway_tree=True), asked in this order.
GIVEN = [
    (8.2, 14.6, [[-3.0426549911499023, 3.864386796951294], [-2.864871025085449, 2.2089414596557617]]),
    (3.123456, 8.2, [[-3.736417055130005, 0.30844104290008545], [1.4837559461593628, 7.474306583404541]]),
    (0.03, 0.5, [[0.2979244589805603, 0.4949401021003723], [-0.5858448147773743, -0.30378490686416626]]),
]


@pytest.mark.parametrize("start, end, expected", GIVEN)
def test_increments_are_torchsdes(start, end, expected):
    ours = BrownianTree(7, 0.03, 14.6, (2, 2)).increment(start, end)
    assert ours.dtype == np.float32
    # A sum of up to 48 float32 values of magnitude up to 4.
    np.testing.assert_allclose(ours, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_any_interval_of_any_seed_is_torchsdes(seed):
    torchsde, torch = pytest.importorskip("torchsde"), pytest.importorskip("torch")
    theirs = torchsde.BrownianInterval(
        0.03, 14.6, (3, 4), dtype=torch.float32, entropy=seed, tol=1e-6, pool_size=24, halfway_tree=True
    )
    ours = BrownianTree(seed, 0.03, 14.6, (3, 4))
    times = np.random.default_rng(seed).uniform(0.03, 14.6, (10, 2))
    for start, end in np.sort(times, axis=1).tolist():
        np.testing.assert_allclose(ours.increment(start, end), theirs(start, end).numpy(), rtol=0, atol=5e-6)


def test_increments_add_up():
    tree = BrownianTree(3, 0.0, 10.0, (5,))
    parts = sum(tree.increment(start, start + 2.5) for start in (0.0, 2.5, 5.0, 7.5))
    np.testing.assert_allclose(parts, tree.increment(0.0, 10.0), rtol=0, atol=5e-6)


def test_their_variance_is_the_time_between():
    motion = BrownianTree(11, 0.0, 14.0, (100_000,)).increment(1.0, 4.0)
    # The variance of n draws has deviation sqrt(2 / n) = 0.0045 of itself; four of those.
    assert abs(motion.var() / 3.0 - 1) < 0.018


def test_what_lies_outside_is_cut_off():
    tree = BrownianTree(3, 1.0, 2.0, (5,))
    np.testing.assert_array_equal(tree.increment(0.0, 9.0), tree.increment(1.0, 2.0))
    np.testing.assert_array_equal(tree.increment(2.0, 9.0), np.zeros(5))
