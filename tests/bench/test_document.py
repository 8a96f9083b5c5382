"""Pages that hold all they show, and plots within them."""

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from aquatint.bench.document import document, image, notes, table
from aquatint.bench.drawing import check_drawing
from aquatint.runtime.errors import MissingPackage

NASTY = 'a <b>&"bold"</b>'


class Cells(HTMLParser):
    """The cells with their class, and all words."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.words, self._kind = [], "", None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._kind = dict(attributes).get("class", "") if tag in ("td", "th") else None

    def handle_data(self, words):
        self.words += words
        if self._kind is not None:
            self.cells.append((words, self._kind))
            self._kind = None


def test_cells_are_escaped_and_numbers_stand_right():
    found = Cells(table(("name", "s"), [(NASTY, "1.5"), ("long " * 9, "2")], (False, True)))
    assert found.cells == [
        ("name", ""),
        ("s", "number"),
        (NASTY, ""),
        ("1.5", "number"),
        ("long " * 9, "long"),
        ("2", "number"),
    ]


def test_a_row_of_another_length_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        table(("name", "s"), [("a",)], (False, True))


def test_title_and_notes_are_escaped():
    text = document(NASTY, [notes([NASTY])], style="p { margin: 0 }")
    assert "<b>" not in text
    assert Cells(text).words.count(NASTY) == 2
    assert text.index("p { margin: 0 }") < text.index("</style>")


def test_small_pictures_are_enlarged_by_whole_pixels():
    small, large = (image(Image.new("RGB", (side, 8)), NASTY) for side in (256, 257))
    assert 'class="small"' in small
    assert "class" not in large
    assert "<b>" not in small


def test_without_matplotlib_the_option_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackage, match=r"--plot can't be drawn.*pip install \"aquatint\[bench\]\""):
        check_drawing("--plot")


def plot(words="a"):
    from aquatint.bench.drawing import INK, new_figure, styled

    @styled
    def draw():
        figure = new_figure(300, words)
        axes = figure.add_subplot()
        axes.plot([0.0, 0.123456, 1.0], [1.0, 2.0, 3.0], "o", color="#2a78b5")
        axes.set_title(words, color=INK)
        return figure

    pytest.importorskip("matplotlib")
    return draw()


def test_words_in_a_plot_stay_as_they_are():
    from aquatint.bench.drawing import svg_of

    words = 'took 0.12345 s, #1c1c1c, $x_1$, id="a" & <b>'
    found = Cells(svg_of(plot(words), "k"))
    assert words in found.words


def test_ids_of_two_plots_in_one_page_differ_and_all_are_found():
    from aquatint.bench.drawing import svg_of

    both = [svg_of(plot(), key) for key in ("p0-0", "p0-1")]
    ids, used = (
        [set(re.findall(pattern, text)) for text in both]
        for pattern in (r' id="([^"]+)"', r'(?:href="#|url\(#)([^")]+)')
    )
    assert ids == used
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_plot_is_the_same_each_time_and_in_the_pages_colors():
    from aquatint.bench.drawing import svg_of

    first = svg_of(plot(), "k")
    assert first == svg_of(plot(), "k")
    assert "var(--ink)" in first
    assert "#1c1c1c" not in first
    assert "http" not in first
    assert not re.search(r"\.\d{3}", first)


def test_a_plot_without_a_name_is_called_by_its_title():
    from aquatint.bench.drawing import svg_of

    figure = plot("a & b")
    figure.set_label("")
    assert 'aria-label="a &amp; b"' in svg_of(figure, "k")


def test_a_users_own_matplotlibrc_changes_nothing():
    import matplotlib

    from aquatint.bench.drawing import picture_of

    expected = np.asarray(picture_of(plot()))
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20, "lines.markersize": 30}):
        np.testing.assert_array_equal(np.asarray(picture_of(plot())), expected)
