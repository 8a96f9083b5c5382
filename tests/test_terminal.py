"""Tables, sizes and the line of progress."""

import io
import logging

import pytest

from aquatint.terminal import Progress, size_text, table


def test_columns_are_as_wide_as_their_widest_cell():
    assert table([("a", 1), ("long", 22)], ("name", "count")) == "name  count\na     1\nlong  22"


def test_a_line_ends_without_spaces():
    assert table([("a", ""), ("long", "b")]) == "a\nlong  b"


def test_a_table_without_rows_is_empty():
    assert table([]) == ""
    assert table([], ("name",)) == "name"


@pytest.mark.parametrize(
    "size_bytes, text",
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1536, "1.54 kB"),
        (999_400, "999 kB"),
        (999_600, "1 MB"),
        (1_718_931_200, "1.72 GB"),
        (999_999_999, "1 GB"),
        (13_400_000_000, "13.4 GB"),
        (1_234_000_000_000, "1.23 TB"),
    ],
)
def test_sizes_have_three_digits_and_a_unit(size_bytes, text):
    assert size_text(size_bytes) == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stderr(monkeypatch):
    def put(stream):
        monkeypatch.setattr("sys.stderr", stream)
        return stream

    return put


def work(logs):
    with Progress(logs=logs) as progress:
        progress.show("working")
        progress.bar(1, 4, "steps")
        logging.getLogger("aquatint.compile.any").info("done in %d s", 3)


def test_where_stderr_is_no_terminal_there_is_no_live_line(stderr):
    stream = stderr(io.StringIO())
    work(logs=False)
    assert stream.getvalue() == ""


def test_log_lines_go_to_any_stderr(stderr):
    stream = stderr(io.StringIO())
    work(logs=True)
    assert stream.getvalue().endswith(" s  done in 3 s\n")
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_the_line_is_drawn_over_and_gone_at_the_end(stderr):
    stream = stderr(Terminal())
    work(logs=False)
    assert "steps [######                  ] 1/4" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_after_it_the_logger_is_as_it_was(stderr):
    logger = logging.getLogger("aquatint")
    before = (logger.level, list(logger.handlers))
    stderr(io.StringIO())
    with pytest.raises(ZeroDivisionError), Progress(logs=True):
        raise ZeroDivisionError
    assert (logger.level, list(logger.handlers)) == before


def test_a_bar_of_nothing_done_yet_is_drawn(stderr):
    stream = stderr(Terminal())
    with Progress(logs=False) as progress:
        progress.bar(0, 4, "steps")
    assert "] 0/4" in stream.getvalue()
