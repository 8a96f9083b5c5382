"""DPM-Solver++, against Diffusers at every step, its noise included."""

import numpy as np
import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

SD = {
    "_class_name": "DPMSolverMultistepScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
STEPS = [1, 2, 4, 20, 50]
ALGORITHMS = ["dpmsolver++", "sde-dpmsolver++"]
FORMULAS = [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("solver", ["midpoint", "heun"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_solver_is_diffusers_own(run_both, algorithm, order, solver, steps):
    config = {**SD, "algorithm_type": algorithm, "solver_order": order, "solver_type": solver}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_every_spacing_and_prediction_is_diffusers_own(run_both, prediction, spacing, steps):
    config = {**SD, "prediction_type": prediction, "timestep_spacing": spacing, "steps_offset": 1}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
@pytest.mark.parametrize("formula", FORMULAS[1:], ids=lambda formula: next(iter(formula)))
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_formula_for_sigmas_is_diffusers_own(run_both, algorithm, formula, final, steps):
    assert run_both({**SD, **formula, "final_sigmas_type": final, "algorithm_type": algorithm}, steps).largest() < 1e-5


@pytest.mark.parametrize("steps", [5, 14, 15, 20])
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(
    "ending",
    [
        {"euler_at_final": True, "final_sigmas_type": "sigma_min"},
        {"lower_order_final": False, "final_sigmas_type": "sigma_min"},
        {"lower_order_final": False},
        {"final_sigmas_type": "sigma_min"},
    ],
    ids=str,
)
def test_every_ending_is_diffusers_own(run_both, ending, order, steps):
    assert run_both({**SD, **ending, "solver_order": order}, steps).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1, "timestep_spacing": "trailing"},
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1, "timestep_spacing": "leading"},
        {"beta_schedule": "squaredcos_cap_v2", "use_karras_sigmas": True},
        {"trained_betas": [0.0001 + 0.00002 * i for i in range(1000)]},
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
        {"solver_type": "logrho"},
        {"solver_type": "bh2"},
    ],
    ids=str,
)
def test_every_schedule_is_diffusers_own(run_both, settings):
    assert run_both({**SD, **settings}, 20).largest() < 1e-5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_run_may_start_late(run_both, algorithm):
    assert run_both({**SD, "algorithm_type": algorithm}, 20, start=7).largest() < 1e-5


def test_a_last_step_of_no_length_keeps_the_sample():
    config = {**SD, "use_karras_sigmas": True, "final_sigmas_type": "sigma_min", "solver_type": "heun"}
    scheduler = make_scheduler(config, 1)
    scheduler.lambdas[1] = scheduler.lambdas[0]
    sample = np.ones((1, 4), dtype=np.float32)
    np.testing.assert_array_equal(scheduler.step(sample, 0, sample, draw=lambda: sample), sample)


def test_steps_that_coincide_are_refused():
    with pytest.raises(BadRequest, match="steps is 1000; that is too many"):
        make_scheduler(SD, 1000)
