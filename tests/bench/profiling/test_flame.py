"""The picture of a profile, and its stacks."""

from collections import defaultdict
from itertools import pairwise

import pytest
from PIL import Image

from aquatint.bench.profiling.flame import PIXELS, bars, check_flame, draw_flame, flame
from aquatint.bench.profiling.profile import Profile
from aquatint.bench.profiling.stacks import collapsed, stack
from aquatint.runtime.errors import OutputFailed

pytest.importorskip("matplotlib")


def test_the_parts_of_a_block_fill_it(made_up, measured):
    for profile in (made_up, measured):
        rows = defaultdict(list)
        for bar in bars(profile, depth=None):
            rows[bar.row].append(bar)
        assert sum(bar.width for bar in rows[0]) == pytest.approx(profile.seconds)
        for row, parents in rows.items():
            for parent in (bar for bar in parents if bar.block):
                end = parent.left + parent.width
                inside = [bar for bar in rows[row + 1] if parent.left - 1e-9 <= bar.left < end - 1e-12]
                assert sum(bar.width for bar in inside) == pytest.approx(parent.width, abs=1e-8)


def test_bars_of_a_row_do_not_overlap(measured):
    rows = defaultdict(list)
    for bar in bars(measured):
        rows[bar.row].append(bar)
    for found in rows.values():
        for left, right in pairwise(found):
            assert left.left + left.width <= right.left + 1e-9


def test_a_block_has_the_color_of_what_takes_the_most_of_it(made_up):
    found = {bar.name: bar.color_of for bar in bars(made_up)}
    assert found["unet"] == "attention"
    assert found["down_blocks.0"] == "convolution"


def test_blocks_stand_as_they_run_and_operators_behind_them(made_up):
    assert [bar.name for bar in bars(made_up) if bar.row == 1 and bar.left >= 0.001][:4] == [
        "down_blocks.0", "down_blocks.1", "conv_out", "elementwise",
    ]  # fmt: skip


def test_depth_cuts_blocks_and_keeps_operators(made_up):
    names = {bar.name for bar in bars(made_up, depth=1)}
    assert "down_blocks.0" in names
    assert "resnets.0" not in names
    assert "reorder" in names


def test_a_picture_is_drawn_and_says_the_whole(made_up, tmp_path):
    draw_flame(made_up, tmp_path / "flame.png", "demo")
    with Image.open(tmp_path / "flame.png") as image:
        assert image.width == PIXELS
    axes = flame(made_up, "demo").axes[0]
    assert axes.get_title(loc="left") == "demo: 10 ms in operators, of 11.5 ms in networks"
    written = {text.get_text() for text in axes.texts}
    assert {"unet\n8 ms", "attention\n3 ms"} <= written
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[:2] == ["convolution  35.0 %", "attention  30.0 %"]


def test_labels_stay_inside_their_bars(measured):
    figure = flame(measured)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    found = bars(measured)
    for text in axes.texts:
        box = text.get_window_extent().transformed(axes.transData.inverted())
        middle = text.get_position()[0]
        row = int(text.get_position()[1])
        bar = next(bar for bar in found if bar.row == row and bar.left <= middle <= bar.left + bar.width)
        assert bar.left <= box.x0, text
        assert box.x1 <= bar.left + bar.width, text


def test_nothing_draws_too(tmp_path):
    draw_flame(Profile((), {}), tmp_path / "flame.svg")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(OutputFailed, match=r"\.png or \.svg in a folder that exists"):
        check_flame(tmp_path / "flame.jpg")


def test_stacks_add_up_to_the_picture(made_up, measured):
    for profile in (made_up, measured):
        assert stack(profile).seconds == pytest.approx(profile.seconds)
        counts = [int(line.rsplit(" ", 1)[1]) for line in collapsed(profile).splitlines()]
        # Each line is rounded to a microsecond.
        assert sum(counts) == pytest.approx(1e6 * profile.seconds, abs=len(profile.operators))


def test_a_stack_is_a_line(made_up):
    assert "unet;down_blocks.0;resnets.0;conv1;convolution 2000\n" in collapsed(made_up)
