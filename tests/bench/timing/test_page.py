"""A measurement as HTML: by itself, well formed, with every text escaped."""

from html.parser import HTMLParser

import pytest

pytest.importorskip("matplotlib")

from aquatint.bench.timing.page import Section, page, write_page
from aquatint.bench.timing.plots import draw_memory, draw_stages, draw_sustained, draw_sweep, draw_times
from aquatint.runtime.errors import OutputFailed
from aquatint.tests.bench.timing import made_up_run as made_up

VOID = {"meta", "img"}
NASTY = '<script>alert("1")</script> & <b>'
OUTSIDE = ("http:", "https:", "//", "@import", "<link", "<script", "<iframe", "<object", "<foreignObject", "src=")


class Reader(HTMLParser):
    """What a browser would see; tags must be closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.cells = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, words):
        if self.open[-1:] != ["style"]:
            self.words.append(words)
        if self.open[-1:] == ["td"]:
            self.cells.append(words)


@pytest.fixture(scope="module")
def text():
    run = made_up.swept()
    rows = [(name, "3.44 s", "2.93 (2.91 to 2.95)") for name in made_up.NAMES]
    plots = tuple(draw(run) for draw in (draw_times, draw_stages, draw_memory, draw_sweep))
    long = draw_sustained(made_up.sustained(), made_up.NAMES[:2])
    return page(
        NASTY, [NASTY, "AMD EPYC"],
        [
            Section("Times", NASTY, (rows, ("subject", "step", "ratio")), plots),
            Section("Over the minutes", figures=(long,)),
        ],
    )  # fmt: skip


def test_it_asks_for_nothing_and_runs_nothing(text):
    assert not [word for word in OUTSIDE if word in text]
    reader = Reader(text)
    for tag, attributes in reader.tags:
        assert tag not in ("script", "link", "img", "image")
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#")


def test_every_text_is_escaped(text):
    reader = Reader(text)
    assert reader.words.count(NASTY) == 4  # title, heading, lead, note
    assert "b" not in {tag for tag, _ in reader.tags}


def test_every_subject_is_in_the_table_and_in_the_plots(text):
    reader = Reader(text)
    drawn = " ".join(reader.words)
    for name in made_up.NAMES:
        assert name in reader.cells
        assert drawn.count(name.split(" ")[-1]) >= 4


def test_no_id_is_given_twice(text):
    ids = [attributes["id"] for _, attributes in Reader(text).tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 5


def test_columns_of_numbers_stand_right_and_words_left(text):
    kinds = {tuple(attributes.items()) for tag, attributes in Reader(text).tags if tag == "td"}
    assert kinds == {(("class", "number"),), (), (("class", "long"),)}


def test_a_plot_says_what_it_shows(text):
    shown = [attributes for tag, attributes in Reader(text).tags if tag == "svg"]
    assert len(shown) == 5
    assert all(one["role"] == "img" and one["aria-label"] and one["viewbox"] for one in shown)


def test_a_usual_page_is_small(text):
    assert len(text.encode()) < 200_000


def test_it_is_written_whole_or_not_at_all(tmp_path):
    write_page("a", [], [Section("b", "c")], tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page("a", [], [Section("b", "c")])
    with pytest.raises(OutputFailed, match=r"can't write .*a\.html"):
        write_page("a", [], [], tmp_path / "gone" / "a.html")
