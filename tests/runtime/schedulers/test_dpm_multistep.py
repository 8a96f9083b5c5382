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


@pytest.mark.usefixtures("exact_roots")
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("solver", ["midpoint", "heun"])
@pytest.mark.parametrize("algorithm, order", [("dpmsolver", 2), ("dpmsolver", 3), ("sde-dpmsolver", 2)])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_solving_for_the_noise_is_diffusers_own(run_both, prediction, algorithm, order, solver, steps):
    config = {**SD, "prediction_type": prediction, "algorithm_type": algorithm, "solver_type": solver}
    assert run_both({**config, "solver_order": order, "final_sigmas_type": "sigma_min"}, steps).largest() < 1e-5


def test_roots_that_torch_rounds_otherwise_make_little_difference(run_both):
    config = {**SD, "algorithm_type": "dpmsolver", "solver_order": 3, "final_sigmas_type": "sigma_min"}
    assert run_both({**config, "prediction_type": "sample"}, 50).largest() < 1e-3


@pytest.mark.parametrize("steps", [2, 20])
@pytest.mark.parametrize(
    "settings",
    [
        {"thresholding": True},
        {"thresholding": True, "sample_max_value": 2.0, "dynamic_thresholding_ratio": 0.9, "solver_order": 3},
        {"thresholding": True, "algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"},
        {"use_lu_lambdas": True},
        {"use_lu_lambdas": True, "beta_schedule": "squaredcos_cap_v2"},
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction"},
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0, "solver_order": 3},
        {"use_flow_sigmas": True, "final_sigmas_type": "sigma_min"},
        {"prediction_type": "flow_prediction"},
        {"algorithm_type": "deis", "final_sigmas_type": "sigma_min"},
        {"sigma_min": 0.1, "sigma_max": 9.0, "use_karras_sigmas": True},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings, steps):
    assert run_both({**SD, **settings}, steps).largest() < 1e-5


def test_mu_shifts_a_flow(run_both):
    config = {**SD, "use_flow_sigmas": True, "use_dynamic_shifting": True, "prediction_type": "flow_prediction"}
    assert run_both(config, 10, schedule={"mu": 0.7}).largest() < 1e-5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_timesteps_of_ones_own_are_taken(run_both, algorithm):
    # "Align your steps" for Stable Diffusion 1.
    given = [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]
    assert run_both({**SD, "algorithm_type": algorithm}, 1, schedule={"timesteps": given}).largest() < 1e-5


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


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"algorithm_type": "dpmsolver"}, "algorithm_type 'dpmsolver' needs final_sigmas_type 'sigma_min'"),
        (
            {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min", "solver_order": 3},
            "'sde-dpmsolver' has no solver_order 3",
        ),
        (
            {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "prediction_type": "flow_prediction"},
            "does not take prediction_type 'flow_prediction'",
        ),
        ({"use_lu_lambdas": True, "use_karras_sigmas": True}, "use_lu_lambdas can't be on together"),
        ({"use_flow_sigmas": True, "use_karras_sigmas": True}, "use_flow_sigmas can't be on together"),
    ],
)
def test_a_contradiction_is_refused(settings, message):
    with pytest.raises(BadRequest, match=message):
        make_scheduler({**SD, **settings}, 5)


def test_mu_without_dynamic_shifting_is_refused():
    with pytest.raises(BadRequest, match=r"mu is 0\.7; it needs use_dynamic_shifting"):
        make_scheduler({**SD, "use_flow_sigmas": True}, 5, mu=0.7)


@pytest.mark.parametrize("setting", ["use_karras_sigmas", "use_lu_lambdas"])
def test_timesteps_that_something_else_sets_are_refused(setting):
    with pytest.raises(BadRequest, match="timesteps can't be given where"):
        make_scheduler({**SD, setting: True}, 5, timesteps=[999, 500])
