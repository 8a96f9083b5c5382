"""The drawings: deterministic, of the right size, shapes told apart by their masks."""

from itertools import combinations

import numpy as np
import pytest

from aquatint.demo.draw import SHAPES, Scene, Thing, draw, draw_mask

SCENE = Scene("white", Thing("square", "red"), "large", "left")


def test_a_seed_gives_one_picture():
    first, again, other = (draw(SCENE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (128, 128, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).any()


def test_a_large_square_on_the_left_is_there():
    picture = draw(SCENE, np.random.default_rng(3)).astype(int)
    red = picture[..., 0] - picture[..., 1] > 100
    # Half an edge is 0.88 of the radius 0.31, give or take 4 %.
    assert red.mean() == pytest.approx((2 * 0.88 * 0.31) ** 2, rel=0.1)
    assert np.nonzero(red)[1].mean() < 0.4 * 128


def test_no_two_shapes_have_masks_alike():
    masks = {name: draw_mask(name, 48) for name in SHAPES}
    for a, b in combinations(SHAPES, 2):
        assert (masks[a] & masks[b]).sum() / (masks[a] | masks[b]).sum() < 0.8


def test_an_unknown_shape_is_refused():
    with pytest.raises(ValueError, match="hexagon"):
        draw(Scene("white", Thing("hexagon", "red")), np.random.default_rng(4))
