"""A comparison in words."""

from dataclasses import replace

import pytest

from aquatint.bench.comparison_table import caption, figures, notes, parts


def column(table, title, nth=0):
    places = [place for place, name in enumerate(table.header) if name == title]
    return [row[places[nth]] for row in table.rows]


def test_one_unit_serves_a_whole_column(made_up):
    table = figures(made_up)
    assert column(table, "size") == ["8.00 MB", "4.00 MB", "8.00 MB"]
    assert column(table, "step") == ["42.1 ms", "50.0 ms (40.0 to 60.0)", "-"]
    assert column(table, "load") == ["500 ms", "500 ms", "-"]
    assert column(table, "memory") == ["300 MB", "300 MB", "-"]


def test_the_largest_chooses_the_unit(made_up):
    first, second, third = made_up.entries
    small = replace(made_up, entries=(first, replace(second, size_bytes=420_000), third))
    assert column(figures(small), "size")[1] == "0.42 MB"


def test_ratios_stand_beside_what_they_are_of(made_up):
    table = figures(made_up)
    assert column(table, "ratio", 0) == ["1.00", "0.50", "1.00"]
    assert column(table, "ratio", 1) == ["1.00", "1.20 (0.90 to 1.50)", "-"]


def test_the_mean_comes_first_and_the_worst_in_brackets(made_up):
    table = figures(made_up)
    assert column(table, "PSNR") == ["reference", "35.0 dB (30.0)", "-"]
    assert column(table, "SSIM") == ["reference", "0.940 (0.900)", "-"]


def test_a_reason_has_a_column_only_where_something_failed(made_up):
    assert column(figures(made_up), "failed because")[:2] == ["", ""]
    assert "SIGKILL" in column(figures(made_up), "failed because")[2]
    assert "failed because" not in figures(replace(made_up, entries=made_up.entries[:2])).header


def test_the_judge_has_a_column_only_where_it_was_asked(made_up):
    assert "judge" not in figures(made_up).header
    first, *others = made_up.entries
    judged = replace(made_up, entries=(replace(first, judged_right=152), *others))
    assert column(figures(judged), "judge") == ["152 of 200", "-", "-"]
    assert any("held-out" in note for note in notes(judged))


def test_what_nobody_measured_has_no_column(made_up):
    entries = tuple(replace(entry, anonymous_bytes=None, peak_bytes=None) for entry in made_up.entries)
    assert not {"memory", "private"} & set(figures(replace(made_up, entries=entries)).header)


def test_targets_have_a_column_only_where_they_differ(made_up):
    assert "target" not in figures(made_up).header
    first, *others = made_up.entries
    mixed = replace(made_up, entries=(first, *(replace(entry, target="openvino:cpu") for entry in others)))
    assert column(figures(mixed), "target") == ["ort:cpu", "openvino:cpu", "openvino:cpu"]


def test_components_stand_side_by_side(made_up):
    assert parts(made_up).header == ("size in MB", "float", "int8", "broken")
    assert parts(made_up).rows[0] == ("unet", "6.00", "3.00", "6.00")


@pytest.mark.parametrize("index, words", [(0, "reference"), (1, "40.0 dB, SSIM 0.980"), (2, "")])
def test_a_picture_is_captioned_with_its_own_likeness(made_up, index, words):
    assert caption(made_up, made_up.entries[index], 1) == words
