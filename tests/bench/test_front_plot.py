"""The picture of a search."""

import pytest
from PIL import Image

from aquatint.bench.front_plot import Point, _best, check_plot, draw_front
from aquatint.runtime.errors import OutputFailed

pytest.importorskip("matplotlib")

POINTS = [
    Point("none", 1.0, 9_800_000, 60.0, True, False),
    Point("int8", 0.7, 7_200_000, 41.0, True, True),
    Point("nf4", 1.1, 6_300_000, 30.0, False, False),
    Point("worse", 0.9, 7_300_000, 40.0, True, False),
]


def test_the_line_joins_what_nothing_beats_in_both():
    found = _best([(point.time_ratio, point) for point in POINTS])
    assert [point.name for _, point in found] == ["int8", "none"]


@pytest.mark.parametrize("objective", ["time", "size"])
def test_a_picture_is_drawn(objective, tmp_path):
    draw_front(POINTS, objective, tmp_path / "front.png")
    with Image.open(tmp_path / "front.png") as image:
        assert image.size == (960, 600)
        assert len(image.convert("RGB").getcolors(1 << 20)) > 20


def test_other_files_are_refused(tmp_path):
    with pytest.raises(OutputFailed, match=r"\.png in a folder that exists"):
        check_plot(tmp_path / "front.jpg")
