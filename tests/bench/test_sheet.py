"""The contact sheet: where pictures stand, and that small ones keep their pixels."""

import numpy as np
from PIL import Image

from aquatint.bench.sheet import Row, draw_sheet, veiled


def picture(red, size=(64, 64)):
    return Image.new("RGB", size, (red, 0, 0))


def count(sheet, color):
    return int((np.asarray(sheet) == color).all(axis=2).sum())


def where(sheet, color):
    return np.argwhere((np.asarray(sheet) == color).all(axis=2))


def test_every_picture_is_drawn_whole_and_enlarged_by_whole_factors():
    rows = [
        Row("one", "a prompt", None, None, (picture(11), picture(12), picture(13)), "below"),
        Row("two", "a long prompt " * 20, picture(14), None, (picture(21), picture(22), picture(23)), "below"),
    ]
    sheet = draw_sheet("title", ("ours", "theirs", "difference"), rows)
    for red in (11, 12, 13, 21, 22, 23):
        assert count(sheet, (red, 0, 0)) == 256 * 256  # 64 times 4, the first factor past 224
    assert count(sheet, (14, 0, 0)) > 0


def test_large_pictures_keep_their_size():
    sheet = draw_sheet("t", ("ours",), [Row("one", "p", None, None, (picture(11, (300, 200)),), "")])
    assert count(sheet, (11, 0, 0)) == 300 * 200


def test_only_what_the_mask_opens_is_veiled():
    mask = Image.new("L", (8, 8))
    mask.paste(255, (4, 0, 8, 8))
    found = np.asarray(veiled(picture(100, (8, 8)), mask))
    assert (found[:, :4] == (100, 0, 0)).all()
    assert (found[:, 4:] != (100, 0, 0)).all()


def test_a_missing_picture_leaves_its_frame_and_the_others_in_their_places():
    sheet = draw_sheet("t", ("a", "b"), [Row("one", "p", None, None, (None, picture(12)), ("", "below b"))])
    full = draw_sheet("t", ("a", "b"), [Row("one", "p", None, None, (picture(11), picture(12)), ("", "below b"))])
    assert sheet.size == full.size
    assert count(sheet, (12, 0, 0)) == 256 * 256
    np.testing.assert_array_equal(where(sheet, (12, 0, 0)), where(full, (12, 0, 0)))


def test_each_picture_may_have_its_own_line_below():
    rows = [
        Row("one", "p", None, None, (picture(11), picture(12)), below)
        for below in (("", ""), ("words", ""), ("", "words"))
    ]
    none, first, second = (np.asarray(draw_sheet("t", ("a", "b"), [row])).astype(int) for row in rows)
    columns = [np.flatnonzero((sheet != none).any(axis=(0, 2))) for sheet in (first, second)]
    # One picture of 256 pixels and a gap of 14 lie between them.
    assert columns[1][0] - columns[0][0] == 256 + 14


def test_a_long_title_of_a_column_does_not_run_into_the_next():
    row = Row("one", "p", None, None, (picture(11), picture(12)), "")
    short = np.asarray(draw_sheet("t", ("a", ""), [row])).astype(int)
    long = np.asarray(draw_sheet("t", ("a" * 300, ""), [row])).astype(int)
    columns = np.flatnonzero((short != long).any(axis=(0, 2)))
    assert columns[-1] - columns[0] <= 256
