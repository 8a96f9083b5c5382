"""UniPC, against Diffusers at every step."""

import numpy as np
import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

SD = {
    "_class_name": "UniPCMultistepScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
FORMULAS = [{"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]
SOLVERS = [{"solver_type": "bh2"}, {"solver_type": "bh1", "final_sigmas_type": "sigma_min"}]


@pytest.mark.usefixtures("exact_roots")
@pytest.mark.parametrize("steps", [1, 2, 5, 20, 50])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver["solver_type"])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_every_solver_is_diffusers_own(run_both, spacing, solver, order, steps):
    config = {**SD, **solver, "timestep_spacing": spacing, "steps_offset": 1, "solver_order": order}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.usefixtures("exact_roots")
@pytest.mark.parametrize("steps", [1, 5, 20])
@pytest.mark.parametrize("prediction", ["v_prediction", "sample", "flow_prediction"])
def test_every_prediction_is_diffusers_own(run_both, prediction, steps):
    assert run_both({**SD, "prediction_type": prediction}, steps).largest() < 1e-5


@pytest.mark.usefixtures("exact_roots")
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_solving_for_the_noise_is_diffusers_own(run_both, prediction, order):
    solver = {"predict_x0": False, "final_sigmas_type": "sigma_min", "solver_order": order, "thresholding": True}
    assert run_both({**SD, **solver, "prediction_type": prediction}, 20).largest() < 1e-5


# At 50 steps, beta sigmas lie so close that one wrong bit of a logarithm makes 4e-2 of the sample.
@pytest.mark.usefixtures("exact_roots")
@pytest.mark.parametrize("steps", [20, 50])
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula)))
def test_every_formula_for_sigmas_is_diffusers_own(run_both, formula, order, final, steps):
    assert run_both({**SD, **formula, "solver_order": order, "final_sigmas_type": final}, steps).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"disable_corrector": [0, 1, 5]},
        {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
        {"lower_order_final": False, "final_sigmas_type": "sigma_min", "use_karras_sigmas": True},
        {"thresholding": True},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
        {"sigma_min": 0.1, "sigma_max": 9.0, "use_karras_sigmas": True},
        {"solver_type": "midpoint"},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**SD, **settings}, 20).largest() < 1e-5


FLOW = {**SD, "use_flow_sigmas": True, "prediction_type": "flow_prediction"}


@pytest.mark.parametrize("steps", [2, 20])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"flow_shift": 3.0, "final_sigmas_type": "sigma_min"},
        {"shift_terminal": 0.1},
        {"use_karras_sigmas": True},
        {"solver_order": 3, "prediction_type": "epsilon"},
    ],
    ids=str,
)
def test_every_flow_is_diffusers_own(run_both, settings, steps):
    assert run_both({**FLOW, **settings}, steps).largest() < 1e-5


@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_mu_shifts_a_flow(run_both, kind):
    config = {**FLOW, "use_dynamic_shifting": True, "time_shift_type": kind}
    assert run_both(config, 10, schedule={"mu": 0.7}).largest() < 1e-5


def test_sigmas_of_ones_own_are_taken(run_both):
    assert run_both(FLOW, 1, schedule={"sigmas": [1.0, 0.8, 0.5, 0.1]}).largest() < 1e-5


def test_roots_that_torch_rounds_otherwise_make_little_difference(run_both):
    assert run_both({**SD, "solver_order": 3, "prediction_type": "sample"}, 50).largest() < 1e-3


def test_a_run_may_start_late(run_both):
    assert run_both({**SD, "solver_order": 3}, 20, start=7).largest() < 1e-5


def test_a_last_step_of_no_length_keeps_the_sample():
    # In Diffusers it divides 0 by 0 where the order is 3.
    config = {**SD, "use_karras_sigmas": True, "final_sigmas_type": "sigma_min", "lower_order_final": False}
    scheduler = make_scheduler({**config, "solver_order": 3, "disable_corrector": [3]}, 5)
    samples = [np.ones((1, 4, 2, 2), dtype=np.float32)]
    for index in range(5):
        samples.append(scheduler.step(0.1 * samples[-1], index, samples[-1], draw=lambda: samples[0]))
    np.testing.assert_array_equal(samples[-1], samples[-2])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"solver_type": "bh1"}, "need final_sigmas_type 'sigma_min'"),
        ({"predict_x0": False}, "need final_sigmas_type 'sigma_min'"),
        ({"lower_order_final": False}, "needs lower_order_final"),
        ({"solver_p": "DDIMScheduler"}, "solver_p is 'DDIMScheduler'"),
        ({"shift_terminal": 0.1}, "shift_terminal needs use_flow_sigmas"),
        ({"use_dynamic_shifting": True}, "use_dynamic_shifting needs mu"),
        ({"use_flow_sigmas": True, "use_beta_sigmas": True}, "use_flow_sigmas goes with Karras"),
        (
            {"predict_x0": False, "final_sigmas_type": "sigma_min", "prediction_type": "flow_prediction"},
            "'flow_prediction' needs predict_x0",
        ),
    ],
)
def test_a_contradiction_is_refused(settings, message):
    with pytest.raises(BadRequest, match=message):
        make_scheduler({**SD, **settings}, 5)


def test_sigmas_without_a_flow_are_refused():
    with pytest.raises(BadRequest, match="sigmas can't be given without use_flow_sigmas"):
        make_scheduler(SD, 5, sigmas=[1.0, 0.5])
