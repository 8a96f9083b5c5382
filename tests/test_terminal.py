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


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only where a test says so."""
    now = [100.0]
    monkeypatch.setattr("aquatint.terminal.time.perf_counter", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def bars(clock, seconds, total, **settings):
    """The last line after the first part took 10 s and each further one took `seconds`."""
    with Progress(logs=False) as progress:
        clock(10)
        progress.bar(1, total, "denoising", **settings)
        for done in range(2, 7):
            clock(seconds)
            progress.bar(done, total, "denoising", **settings)
        return progress._text


def test_the_rate_is_of_the_parts_after_the_first(stderr, clock):
    stderr(Terminal())
    # 0.32 s each, 14 left.
    assert bars(clock, 0.32, 20) == "denoising [#######                 ] 6/20  3.1 steps/s, 4 s left"


def test_slow_parts_have_seconds_each(stderr, clock):
    stderr(Terminal())
    assert bars(clock, 2.5, 20).endswith("6/20  2.5 s/step, 35 s left")
    assert bars(clock, 30, 20, unit="tile").endswith("6/20  30.0 s/tile, 7 min left")


def test_after_the_first_part_its_own_time_is_all_there_is(stderr, clock):
    stderr(Terminal())
    with Progress(logs=False) as progress:
        clock(4)
        progress.restart()
        clock(2)
        progress.bar(1, 3, "denoising")
        assert progress._text.endswith("1/3  2.0 s/step, 4 s left")


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


def test_work_is_shown_as_it_goes_and_gives_its_result():
    from aquatint.terminal import drive

    def work():
        yield 1
        yield 2
        return "done"

    shown = []
    assert drive(work(), shown.append) == "done"
    assert shown == [1, 2]


def test_counted_work_is_a_bar_and_other_work_its_label(monkeypatch):
    shown = []
    progress = Progress(logs=False)
    monkeypatch.setattr(progress, "show", shown.append)
    progress.step(0, 0, "loading")
    progress.step(6, 12, "timing kernels")
    assert shown[0] == "loading"
    assert shown[1].startswith("timing kernels [############            ] 6/12")
