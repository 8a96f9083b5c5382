"""The plots of a measurement: what they say is what was measured."""

import statistics
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from aquatint.bench.drawing import picture_of, svg_of
from aquatint.bench.timing.measured import Run, Sample, Series
from aquatint.bench.timing.plot_memory import PEAK, held
from aquatint.bench.timing.plot_roofline import over_floor
from aquatint.bench.timing.plot_stages import DENOISER, HOST, REST, STEPS, spent
from aquatint.bench.timing.plot_sustained import thirds
from aquatint.bench.timing.plot_sweep import medians
from aquatint.bench.timing.plots import (
    draw_memory,
    draw_quality,
    draw_roofline,
    draw_stages,
    draw_sustained,
    draw_sweep,
    draw_times,
    summary_picture,
)
from aquatint.tests.bench.timing import made_up_run as made_up

OF_RUN = {
    draw.__name__: draw for draw in (draw_times, draw_stages, draw_memory, draw_quality, draw_roofline, draw_sweep)
}


def by_gid(axes, gid):
    return next(artist for artist in axes.get_children() if artist.get_gid() == gid)


def words_of(figure):
    """All that a reader finds in it, in one line."""
    texts = [text for axes in figure.axes for text in axes.texts + axes.get_yticklabels()]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    return " ".join(text.get_text() for text in texts).replace("\n", " ")


@pytest.fixture(scope="module")
def large():
    return made_up.large()


@pytest.fixture(scope="module")
def swept():
    return made_up.swept()


def test_times_show_every_sample_its_median_and_the_ratio_to_the_first(large):
    left, right = draw_times(large).axes
    first = [sample.total for sample in large.points[0].series[0].samples]
    for row, series in enumerate(large.points[0].series):
        steps = [step for sample in series.samples for step in sample.steps]
        totals = [sample.total for sample in series.samples]
        for axes, times in ((left, steps), (right, totals)):
            np.testing.assert_allclose(by_gid(axes, f"samples {row}").get_xdata(), sorted(times))
            assert by_gid(axes, f"median {row}").get_xdata()[0] == pytest.approx(np.median(times))
        label = by_gid(right, f"beside {row}").get_text()
        assert float(label.split(" s")[0]) == pytest.approx(np.median(totals), rel=0.005)
        if row:
            ratio = np.median(np.array(totals) / np.array(first))
            assert float(label.split("\n")[1].rstrip("\u00d7")) == pytest.approx(ratio, rel=0.005)


def test_of_many_samples_as_many_are_drawn_as_can_be_told_apart_with_both_ends():
    run = made_up.demo()
    axes = draw_times(run).axes[0]
    steps = [1e3 * step for sample in run.points[0].series[0].samples for step in sample.steps]
    shown = by_gid(axes, "samples 0").get_xdata()
    assert len(shown) == 120 < len(steps)
    assert (shown[0], shown[-1]) == pytest.approx((min(steps), max(steps)))
    assert np.median(shown) == pytest.approx(np.median(steps), rel=0.01)
    assert axes.get_xlabel() == "ms"


def test_the_parts_of_a_picture_add_up_to_its_median(large):
    for series in large.points[0].series:
        total = np.median([sample.total for sample in series.samples])
        assert sum(spent(series).values()) == pytest.approx(total)


def test_parts_are_those_of_a_sample_worked_out_by_hand():
    sample = Sample(20.0, {"text_encoder": 1.0, "vae_decoder": 3.0}, (2.0, 2.0, 2.0, 3.0, 3.0), (0.25,) * 4 + (0.5,))
    # 12 s of five steps, 2 s for the first, of which 1.5 of 12 are the host's; 20 - 1 - 3 - 14 are left.
    assert spent(Series((sample,))) == pytest.approx(
        {"text_encoder": 1.0, DENOISER: 14.0 - 1.75, HOST: 1.75, "vae_decoder": 3.0, REST: 2.0}
    )
    assert list(spent(Series((sample,)))) == ["text_encoder", DENOISER, HOST, "vae_decoder", REST]
    assert spent(Series((replace(sample, host=None),)))[STEPS] == pytest.approx(14.0)


def test_parts_that_are_more_than_the_whole_are_cut_to_it():
    sample = Sample(10.0, {"vae_decoder": 5.0}, (4.0, 4.0), (0.0, 0.0))
    assert sum(spent(Series((sample,))).values()) == pytest.approx(10.0)


def test_bars_of_stages_are_as_long_as_the_picture_takes(large):
    (axes,) = draw_stages(large).axes
    bars = [bar for container in axes.containers for bar in container]
    for row, series in enumerate(large.points[0].series):
        total = np.median([sample.total for sample in series.samples])
        mine = [bar for bar in bars if round(bar.get_y() + bar.get_height() / 2) == row]
        assert sum(bar.get_width() for bar in mine) == pytest.approx(total)
        ends = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in mine if bar.get_width())
        assert all(end == pytest.approx(start) for (_, end), (start, _) in pairwise(ends))


def test_times_far_apart_are_shown_as_shares():
    run = made_up.large()
    slow, fast = run.points[0].series[2], made_up.demo().points[0].series[0]
    run = replace(run, subjects=run.subjects[:2], points=(replace(run.points[0], series=(slow, fast)),))
    (axes,) = draw_stages(run).axes
    assert axes.get_xlabel() == "%"
    for row in range(2):
        assert sum(container[row].get_width() for container in axes.containers) == pytest.approx(100)
    assert draw_times(run).axes[0].get_xscale() == "log"


def test_memory_adds_up_to_the_steady_and_the_peak(large):
    for measured in large.subjects:
        parts = held(measured.memory)
        assert sum(parts.values()) == pytest.approx(measured.memory.peak)
        assert parts[PEAK] == measured.memory.peak - measured.memory.steady
    untold = replace(large.subjects[0].memory, stages=())
    assert sum(held(untold).values()) == untold.peak
    assert held(replace(untold, peak=None, steady=None)) == {}


def test_memory_of_a_gpu_has_a_plot_of_its_own():
    resident, gpu = draw_memory(made_up.demo()).axes
    assert resident.get_xlabel() == gpu.get_xlabel() == "MB"
    assert gpu.patches[0].get_width() == pytest.approx(700)
    assert by_gid(resident, "memory 0").get_text() == "steady 280 MB\npeak 310 MB"


def test_a_long_run_shows_its_first_and_its_last_third():
    point = made_up.sustained()
    figure = draw_sustained(point, made_up.NAMES[:2])
    series = point.series[0]
    totals = np.array([sample.total for sample in series.samples])
    early, late = thirds(series)
    assert early == np.median(totals[: len(totals) // 3])
    assert late == np.median(totals[-(len(totals) // 3) :])
    line = by_gid(figure.axes[0], "pictures 0")
    np.testing.assert_allclose(line.get_ydata(), totals / early)
    np.testing.assert_allclose(line.get_xdata(), np.array(series.ends_s) / 60)
    assert f"({late / early:.3f}\u00d7)" in words_of(figure)
    assert [axes.get_ylabel() for axes in figure.axes[1:]] == ["GHz", "°C"]


def test_of_thousands_of_pictures_neighbours_are_put_together():
    one = Sample(0.01, {}, (), None)
    count = 6000
    series = Series((one,) * count, tuple(0.1 * index for index in range(count)))
    point = replace(made_up.sustained(1), series=(series,), moments=())
    (axes,) = draw_sustained(point, ["demo"]).axes
    assert len(by_gid(axes, "pictures 0").get_xdata()) == 150


def test_a_sweeps_curves_are_medians_and_what_was_skipped_has_a_cross(swept):
    found = medians(swept.points, 0, "step", by_pixels=True)
    assert list(found) == pytest.approx(
        [n * side * side / 1e6 for n, side in ((1, 256), (2, 256), (1, 512), (2, 512), (1, 768), (2, 768))]
    )
    here = [p for p in swept.points if p.call.pixels == 512 * 512]
    steps = [step for point in here for sample in point.series[0].samples for step in sample.steps]
    assert len(here) == 2
    assert found[512 * 512 / 1e6] == pytest.approx(np.median(steps))
    left, right = draw_sweep(swept).axes
    for axes in (left, right):
        np.testing.assert_allclose(by_gid(axes, "skipped 2").get_xdata(), [2 * 512 * 512 / 1e6, 2 * 768 * 768 / 1e6])
        assert len(by_gid(axes, "skipped 0").get_xdata()) == 0
        assert axes.get_xscale() == axes.get_yscale() == "log"
    twenty = [p for p in swept.points if (p.call.images, p.call.steps) == (2, 20)]
    expected = [np.median([sample.total for sample in point.series[1].samples]) for point in twenty]
    np.testing.assert_allclose(by_gid(right, "picture 1 2 20").get_ydata(), expected)


def test_a_sweep_of_steps_alone_has_them_along_its_axis(swept):
    alone = [point for point in swept.points if point.call.pixels == 512 * 512]
    left, right = draw_sweep(replace(swept, points=tuple(alone))).axes
    assert left.get_xlabel() == right.get_xlabel() == "steps"
    np.testing.assert_array_equal(by_gid(right, "picture 0 1 None").get_xdata(), [10, 20])


def test_quality_stands_at_the_median_step_and_the_mean_decibels(large):
    (axes,) = draw_quality(large).axes
    for row, measured in enumerate(large.subjects[:4]):
        steps = [step for sample in large.points[0].series[row].samples for step in sample.steps]
        mark = by_gid(axes, f"quality {row}")
        assert mark.get_xdata()[0] == pytest.approx(np.median(steps))
        assert mark.get_ydata()[0] == pytest.approx(statistics.mean(one.psnr_db for one in measured.quality.pictures))
    assert not any(artist.get_gid() == "quality 4" for artist in axes.get_children())


def test_a_stage_is_held_against_its_floor(large):
    series = large.points[0].series[0]
    found = over_floor(large, 0, series)
    inside = [step - host for sample in series.samples for step, host in zip(sample.steps, sample.host)]
    taken, least = found["unet"]
    assert taken == pytest.approx(np.median(inside))
    assert least.seconds == pytest.approx(1.6e12 / 2.4e11)
    (axes,) = draw_roofline(large).axes
    assert by_gid(axes, "floor 0").get_width() == pytest.approx(np.median(inside) / (1.6e12 / 2.4e11))


@pytest.mark.parametrize("name", OF_RUN)
def test_every_subject_is_named_in_every_plot(name, large, swept):
    run = swept if name == "draw_sweep" else large
    shown = words_of(OF_RUN[name](run))
    missing = {"draw_quality": [4], "draw_roofline": [2, 3, 4]}.get(name, [])
    for index, subject in enumerate(made_up.NAMES):
        assert (subject in shown) == (index not in missing)


@pytest.mark.parametrize("name", OF_RUN)
def test_without_anything_to_show_there_is_no_plot(name, large):
    empty = tuple(replace(point, series=(Series(skipped="no"),) * 5) for point in large.points)
    bare = [replace(measured, memory=None, quality=None, work={}) for measured in large.subjects]
    assert OF_RUN[name](replace(large, subjects=tuple(bare), points=empty)) is None
    assert OF_RUN[name](replace(large, subjects=tuple(bare), points=())) is None


def test_one_that_failed_keeps_its_row_and_its_color(large):
    series = (*large.points[0].series[:1], Series(skipped="gone"), *large.points[0].series[2:])
    run = replace(large, points=(replace(large.points[0], series=series),))
    before, after = draw_times(large).axes[0], draw_times(run).axes[0]
    assert by_gid(after, "beside 1").get_text() == "-"
    assert by_gid(before, "samples 2").get_color() == by_gid(after, "samples 2").get_color()


def shown_ticks(axes):
    """The words of those within the axes; others are not drawn."""
    low, high = sorted(axes.get_ylim())
    return [text for place, text in zip(axes.get_yticks(), axes.get_yticklabels()) if low <= place <= high]


def eight(swept):
    """Long names, and one of each kind of gap."""
    order = [0, 1, 2, 3, 4, 0, 3, 4]
    names = [*made_up.NAMES, "out/sd15-int8-static-per-channel-smoothquant-openvino-cpu-2026", "b", "words " * 12]
    subjects = [
        replace(swept.subjects[index], order=replace(swept.subjects[index].order, name=name.strip()))
        for index, name in zip(order, names)
    ]
    points = [replace(point, series=tuple(point.series[index] for index in order)) for point in swept.points]
    return Run(tuple(subjects), tuple(points), swept.load, swept.peaks)


def test_names_and_words_of_eight_subjects_stay_within_the_picture_and_apart(swept):
    run = eight(swept)
    drawn = [draw(run) for draw in (draw_times, draw_stages, draw_memory, draw_quality, draw_roofline)]
    drawn.append(
        draw_sustained(
            replace(made_up.sustained(2), series=made_up.sustained(2).series * 4), [m.order.name for m in run.subjects]
        )
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where a layout has no room
        for figure in drawn:
            picture_of(figure)
            texts = [text for axes in figure.axes for text in (*axes.texts, *shown_ticks(axes), axes.title)]
            texts += [text for legend in figure.legends for text in legend.get_texts()]
            boxes = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
            for box in boxes:
                assert box.x0 >= -1
                assert box.y0 >= -1
                assert box.x1 <= figure.bbox.width + 1
                assert box.y1 <= figure.bbox.height + 1
            for index, box in enumerate(boxes):
                assert not [one for one in boxes[index + 1 :] if box.padded(-1).overlaps(one.padded(-1))]


def test_the_summary_is_one_picture_that_ends_where_its_plots_end(swept):
    found = summary_picture(swept, "sd15", ["words " * 60])
    assert found.width == 1600
    pixels = np.asarray(found)
    assert (pixels[-120:] != 255).any()
    assert (pixels[:, :800] != 255).any()
    assert (pixels[:, 800:] != 255).any()
    np.testing.assert_array_equal(pixels, np.asarray(summary_picture(made_up.swept(), "sd15", ["words " * 60])))


def test_a_plot_of_eight_subjects_is_a_small_part_of_a_page(swept):
    assert len(svg_of(draw_times(eight(swept)), "k")) < 60_000
