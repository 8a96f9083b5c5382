"""Components against recorded calls."""

import numpy as np
import pytest

from aquatint.compile.cases import Case, read_cases, write_case
from aquatint.compile.verify import relative_error, verify_component
from aquatint.profiles.profile import Budget
from aquatint.runtime.errors import NonFinite, QualityMissed
from aquatint.runtime.manifest import Component, TensorSpec

BUDGET = Budget(relative_error=0.02, psnr_db=30)
SAMPLE = TensorSpec("sample", "float32", ("batch", 2))
TIME = TensorSpec("timestep", "float32", (1,))
OUT = TensorSpec("out", "float32", ("batch", 2))


class Scale:
    """out = sample * factor; keeps the rows of each call."""

    def __init__(self, factor=1.0):
        self.factor = np.float32(factor)
        self.rows = []

    def run(self, feeds):
        assert feeds["timestep"].shape == (1,)
        self.rows.append(feeds["sample"][:, 0].tolist())
        return {"out": feeds["sample"] * self.factor}


def component(*rows):
    return Component("unet", "unet/model.onnx", "fp16", (SAMPLE, TIME), (OUT,), rows)


def case(rows=2, expected=None):
    sample = np.arange(1, 2 * rows + 1, dtype=np.float32).reshape(rows, 2)
    feeds = {"sample": sample, "timestep": np.ones(1, np.float32)}
    return Case(feeds, {"out": sample if expected is None else expected})


def test_relative_error_is_the_rms_of_the_difference_over_that_of_the_reference():
    assert relative_error(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == pytest.approx(0.1)  # 0.5 of 5
    assert relative_error(np.ones(4, np.float16), np.ones(4, np.float32)) == 0


def test_an_error_where_the_reference_is_zero_is_over_any_budget():
    assert relative_error(np.ones(2), np.zeros(2)) > 1e20
    assert relative_error(np.zeros(2), np.zeros(2)) == 0


def test_the_worst_case_is_the_quality():
    factors = iter([1.01, 1.0])
    session = Scale()
    session.run = lambda feeds: {"out": feeds["sample"] * np.float32(next(factors))}
    checked = verify_component(session, component(2), [case(), case()], BUDGET)
    assert checked.quality["relative_error"] == pytest.approx(0.01, rel=1e-3)


def test_over_budget_the_component_is_named_with_both_figures():
    with pytest.raises(QualityMissed, match=r"^unet: relative error 0\.03\d* in fp16, the budget allows 0\.02"):
        verify_component(Scale(1.03), component(2), [case()], BUDGET)


@pytest.mark.parametrize("factor", [np.nan, np.inf])
def test_nan_and_infinity_fail_under_any_budget(factor):
    with pytest.raises(NonFinite, match="unet, output out"):
        verify_component(Scale(factor), component(2), [case()], Budget(1e30, 0))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_reference_that_is_not_finite_judges_nothing_and_fails(value):
    with pytest.raises(NonFinite, match="unet"):
        verify_component(Scale(), component(2), [case(expected=np.full((2, 2), value, np.float32))], Budget(1e30, 0))


def test_without_a_recorded_call_nothing_is_verified():
    with pytest.raises(QualityMissed, match="unet: there is no recorded call"):
        verify_component(Scale(), component(2), [], BUDGET)


@pytest.mark.parametrize(
    "rows, calls",
    [
        ((2, 1), [[1, 3]]),
        ((1,), [[1], [3]]),
        ((4, 2), [[1, 3]]),
        ((4,), [[1, 3, 3, 3]]),
    ],
)
def test_a_case_is_run_in_batches_that_the_component_knows(rows, calls):
    session = Scale()
    verify_component(session, component(*rows), [case(rows=2)], BUDGET)
    assert session.rows == calls


def test_three_rows_in_pairs_are_filled_up_with_the_last():
    session = Scale()
    checked = verify_component(session, component(2), [case(rows=3)], BUDGET)
    assert session.rows == [[1, 3], [5, 5]]
    assert checked.quality["relative_error"] == 0


def test_cases_come_back_in_order_with_their_types(tmp_path):
    for index in range(11):
        write_case(tmp_path, "unet", Case({"ids": np.array([index])}, {"out": np.full((1, 2), index, np.float32)}))
    found = list(read_cases(tmp_path, "unet"))
    assert [read.feeds["ids"].item() for read in found] == list(range(11))
    assert (found[0].feeds["ids"].dtype, found[0].outputs["out"].dtype) == (np.int64, np.float32)
    assert list(read_cases(tmp_path, "vae_decoder")) == []
