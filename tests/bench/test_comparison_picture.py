"""The report as one picture."""

from dataclasses import replace

import numpy as np
from PIL import Image

from aquatint.bench.comparison_picture import MOST_PX, draw_comparison, draw_table, stack
from aquatint.bench.comparison_table import Table


def count(picture, color):
    return int((np.asarray(picture) == color).all(axis=2).sum())


def ink(picture):
    """(first, last) column that is not white."""
    dark = np.flatnonzero((np.asarray(picture.convert("L")) < 128).any(axis=0))
    return dark[0], dark[-1]


def test_every_picture_of_every_bundle_is_on_it(made_up):
    sheet = draw_comparison(made_up)
    for red in (11, 12, 21, 22):
        assert count(sheet, (red, 0, 0)) == 256 * 256


def test_large_pictures_are_made_smaller(made_up):
    large = tuple((Image.new("RGB", (1024, 768), (red, 0, 0)),) for red in (11, 21))
    sheet = draw_comparison(replace(made_up, prompts=("a",), pictures=(*large, ())))
    assert count(sheet, (11, 0, 0)) == MOST_PX * MOST_PX * 3 // 4


def test_without_any_picture_the_table_and_the_reasons_are_left(made_up):
    failed = tuple(replace(entry, failed="it broke", likeness=None) for entry in made_up.entries)
    sheet = draw_comparison(replace(made_up, entries=failed, pictures=((), (), ())))
    assert sheet.height < draw_comparison(made_up).height / 2


def test_numbers_end_at_the_right_and_words_begin_at_the_left():
    rows = (("wide words here",), ("w",))
    tables = [draw_table(Table(("a",), rows, (number,))) for number in (False, True)]
    left, right = (table.crop((0, 60, table.width, 80)) for table in tables)  # the last row, without its rule
    assert ink(left)[0] < ink(right)[0]
    assert ink(left)[1] < ink(right)[1]


def test_pieces_are_stacked_on_white():
    whole = stack([Image.new("RGB", (4, 2), "red"), Image.new("RGB", (2, 3), "blue")])
    assert whole.size == (4, 5)
    assert [whole.getpixel(place) for place in ((3, 1), (1, 2), (3, 2))] == [(255, 0, 0), (0, 0, 255), (255, 255, 255)]
