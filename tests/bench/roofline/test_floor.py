"""Floors by closed forms, and peaks that are plausible."""

import time

import numpy as np
import pytest

from aquatint.bench.roofline.floor import Floor, floor
from aquatint.bench.roofline.peaks import Peak, Peaks, measure_peaks
from aquatint.bench.roofline.work import Product, Work, add_up, attention, convolution, matrix_product
from aquatint.terminal import drive

PEAKS = Peaks((Peak("f32", 100.0, "a"), Peak("f16", 50.0, "a"), Peak("i8", 400.0, "a")), 10.0, 5.0)


@pytest.mark.parametrize("type_, seconds", [("f32", 8.0), ("f16", 8.0), ("bf16", 8.0), ("i8", 2.0)])
def test_each_type_runs_at_its_own_peak_or_that_of_a_wider_one(type_, seconds):
    assert floor(Work((Product("linear", type_, 800),), 1, 1), PEAKS) == Floor(seconds, "arithmetic")


def test_products_of_several_types_add_up():
    work = Work((Product("linear", "f32", 300), Product("convolution", "i8", 400)), 1, 1)
    assert floor(work, PEAKS).seconds == pytest.approx(3 + 1)


def test_weights_that_take_longer_to_read_hold_it():
    assert floor(Work((Product("linear", "f32", 100),), 30, 20), PEAKS) == Floor(5.0, "memory")


def test_products_of_a_kind_are_added_up_the_most_first():
    products = [Product("linear", "f32", 1), Product("attention", "f32", 5), Product("linear", "f32", 7)]
    assert add_up(products) == (Product("linear", "f32", 8), Product("attention", "f32", 5))


def test_closed_forms():
    assert convolution((1, 8, 10, 10), (8, 4, 3, 3)) == 2 * 8 * 100 * 4 * 9
    assert convolution((1, 8, 10, 10), (8, 1, 3, 3)) == 2 * 8 * 100 * 9  # one group for each channel
    assert matrix_product((2, 5, 7), 11) == 2 * 2 * 5 * 7 * 11
    # Four heads of queries share two of keys: every query still meets every key of its head.
    assert attention((1, 4, 6, 8), (1, 2, 9, 8), (1, 2, 9, 16)) == 2 * 4 * 6 * 9 * (8 + 16)


def test_the_peak_of_float32_is_no_less_than_a_product_that_is_timed_here():
    peaks = drive(measure_peaks("CPU", None, (256,), 0.1, 1 << 24), lambda label: None)
    matrix = np.ones((256, 256), np.float32)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    timed = 2 * 256**3 / np.median(times)
    assert peaks.best("f32").operations_s > 0.5 * timed  # half, for the machine is shared
    assert peaks.best("f32").operations_s < 1e14
    assert peaks.best("i8").operations_s >= peaks.best("f32").operations_s
    assert 1e8 < peaks.copy_bytes_s < 1e12
    assert 1e8 < peaks.read_bytes_s < 1e12
