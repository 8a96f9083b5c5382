"""The report as HTML: well formed, by itself, with every text escaped; and both files written."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from aquatint.bench.comparison_page import page, picture_beside, write_report
from aquatint.runtime.errors import BadRequest, OutputFailed

VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Collects what a browser would: open tags must be closed in turn."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.images, self.words = [], [], [], []
        self.cells = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, words):
        if self.open[-1:] != ["style"]:
            self.words.append(words)
        if self.open[-1:] == ["td"]:
            self.cells.append(words)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture
def reader(made_up):
    return read(page(made_up))


def test_every_text_is_escaped(reader, made_up):
    assert not {tag for tag, _ in reader.tags} & {"script", "b"}
    assert any(made_up.prompts[1] in words for words in reader.words)
    assert any(image["alt"] == f"{made_up.prompts[1]}, by int8" for image in reader.images)


def test_it_asks_for_no_other_file(reader):
    for tag, attributes in reader.tags:
        assert tag != "link"
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("src", "data:").startswith("data:")


def test_the_pictures_are_in_it_pixel_by_pixel(reader, made_up):
    shown = [image["src"].removeprefix("data:image/png;base64,") for image in reader.images]
    found = [Image.open(io.BytesIO(base64.b64decode(source))) for source in shown]
    expected = [pictures[index] for index in range(2) for pictures in made_up.pictures if pictures]
    assert len(found) == len(expected) == 4
    for picture, reference in zip(found, expected):
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(reference))


def test_a_bundle_that_failed_has_its_row_and_its_reason(reader, made_up):
    assert made_up.entries[2].failed in reader.cells
    assert "broken: no picture" in reader.words


def test_it_says_what_is_the_reference_and_how_it_was_measured(reader):
    words = " ".join(reader.words)
    assert "float (reference)" in words
    assert "float is the reference: ratios, PSNR and SSIM are against it." in words
    assert "3 rounds" in words
    assert "20 steps and seed 7" in words


def test_a_picture_goes_beside_the_page(made_up, tmp_path):
    files = write_report(made_up, tmp_path / "found.html")
    assert files == (tmp_path / "found.html", tmp_path / "found.png")
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert files[0].read_text(encoding="utf-8") == page(made_up)
    with Image.open(files[1]) as picture:
        assert picture.format == "PNG"


def test_other_names_and_missing_folders_are_refused(tmp_path):
    with pytest.raises(BadRequest, match=r"report\.png should end in \.html"):
        picture_beside(tmp_path / "report.png")
    with pytest.raises(BadRequest, match=r"there is no folder .*gone for a\.html"):
        picture_beside(tmp_path / "gone" / "a.html")


def test_a_page_that_cant_be_written_is_an_error_and_leaves_nothing(made_up, tmp_path):
    (tmp_path / "a.html").mkdir()
    with pytest.raises(OutputFailed, match=r"can't write .*a\.html"):
        write_report(made_up, tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.html"]
