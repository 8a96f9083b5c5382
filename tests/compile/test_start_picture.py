"""The picture that a model without text to image starts from."""

import numpy as np
import pytest

from aquatint.compile.start_picture import start_picture


@pytest.mark.parametrize("height, width", [(64, 64), (96, 64), (64, 128)])
def test_it_has_the_size_that_was_asked_for_and_its_gradients_end_in_the_corners(height, width):
    picture = start_picture(height, width)
    assert (picture.mode, picture.size) == ("RGB", (width, height))
    corners = [picture.getpixel((x, y)) for y in (0, height - 1) for x in (0, width - 1)]
    assert corners == [(0, 0, 255), (255, 0, 255), (0, 255, 0), (255, 255, 0)]


def test_both_discs_stand_before_the_gradients():
    pixels = np.asarray(start_picture(100, 100)).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    large = {tuple(map(int, colour)): int(count) for colour, count in zip(colours, counts) if count > 10}
    # Areas of circles with radii of 20 and 25 pixels; an edge is one pixel wide.
    assert large[(255, 230, 153)] == pytest.approx(np.pi * 20**2, rel=0.05)
    assert large[(26, 38, 76)] == pytest.approx(np.pi * 25**2, rel=0.05)


def test_it_is_the_same_each_time():
    assert start_picture(64, 96).tobytes() == start_picture(64, 96).tobytes()
