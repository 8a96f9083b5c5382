"""DEIS, against Diffusers at every step."""

import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

SD = {
    "_class_name": "DEISMultistepScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
FORMULAS = [{"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]


@pytest.mark.usefixtures("exact_roots")
@pytest.mark.parametrize("steps", [1, 2, 5, 20, 50])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_every_spacing_is_diffusers_own(run_both, spacing, order, steps):
    config = {**SD, "timestep_spacing": spacing, "steps_offset": 1, "solver_order": order}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.usefixtures("exact_roots")
@pytest.mark.parametrize("steps", [1, 5, 50])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("prediction", ["v_prediction", "sample", "flow_prediction"])
def test_every_prediction_is_diffusers_own(run_both, prediction, order, steps):
    assert run_both({**SD, "prediction_type": prediction, "solver_order": order}, steps).largest() < 1e-5


@pytest.mark.parametrize("steps", [1, 5, 20])
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula)))
def test_every_formula_for_sigmas_is_diffusers_own(run_both, formula, order, steps):
    assert run_both({**SD, **formula, "solver_order": order}, steps).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"lower_order_final": False},
        {"lower_order_final": False, "solver_order": 3},
        {"thresholding": True},
        {"beta_schedule": "linear"},
        {"algorithm_type": "dpmsolver++", "solver_type": "midpoint"},
        {"sigma_min": 0.1, "use_karras_sigmas": True},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**SD, **settings}, 10).largest() < 1e-5


@pytest.mark.parametrize("steps", [2, 5, 20])
@pytest.mark.parametrize("prediction", ["epsilon", "flow_prediction"])
def test_a_flow_is_diffusers_own(run_both, prediction, steps):
    config = {**SD, "use_flow_sigmas": True, "flow_shift": 3.0, "prediction_type": prediction}
    # The first step takes off all but 1/200 of what it adds, and float32 keeps 7 digits.
    assert run_both(config, steps).largest() < 1e-4


def test_mu_shifts_a_flow(run_both):
    config = {**SD, "use_flow_sigmas": True, "use_dynamic_shifting": True, "prediction_type": "flow_prediction"}
    assert run_both(config, 10, schedule={"mu": 0.7}).largest() < 1e-4


def test_roots_that_torch_rounds_otherwise_make_little_difference(run_both):
    assert run_both({**SD, "prediction_type": "sample", "solver_order": 3}, 50).largest() < 1e-3


def test_a_run_may_start_late(run_both):
    assert run_both({**SD, "solver_order": 3}, 20, start=7).largest() < 1e-5


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"algorithm_type": "sde-dpmsolver++"}, "algorithm_type is 'sde-dpmsolver"),
        ({"use_flow_sigmas": True, "use_beta_sigmas": True}, "use_flow_sigmas can't be on together"),
    ],
)
def test_a_contradiction_is_refused(settings, message):
    with pytest.raises(BadRequest, match=message):
        make_scheduler({**SD, **settings}, 5)
