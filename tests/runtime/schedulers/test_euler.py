"""Euler, against Diffusers at every step."""

import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

SD = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
STEPS = [1, 2, 4, 20, 50]
FORMULAS = [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula), "timesteps"))
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_every_step_is_diffusers_own(run_both, prediction, formula, spacing, steps):
    config = {**SD, **formula, "prediction_type": prediction, "timestep_spacing": spacing, "steps_offset": 1}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "squaredcos_cap_v2", "use_karras_sigmas": True},
        {"trained_betas": [0.0001 + 0.00002 * i for i in range(1000)]},
        {"num_train_timesteps": 500},
        {"final_sigmas_type": "sigma_min"},
        {"final_sigmas_type": "sigma_min", "use_karras_sigmas": True},
        {"sigma_min": 0.002, "sigma_max": 80.0, "use_karras_sigmas": True},
        {"sigma_min": 0.1, "use_exponential_sigmas": True},
        {"sigma_max": 10, "use_beta_sigmas": True},
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
        {"interpolation_type": "log_linear"},
        {"interpolation_type": "log_linear", "use_karras_sigmas": True, "timestep_spacing": "leading"},
        {"timestep_type": "continuous", "prediction_type": "v_prediction"},
        {"timestep_type": "continuous", "prediction_type": "v_prediction", "interpolation_type": "log_linear"},
        {"timestep_type": "continuous", "prediction_type": "v_prediction", "use_karras_sigmas": True},
        {"timestep_type": "continuous"},
        {"prediction_type": "original_sample"},
    ],
    ids=str,
)
@pytest.mark.parametrize("steps", [2, 20])
def test_every_schedule_is_diffusers_own(run_both, settings, steps):
    assert run_both({**SD, **settings}, steps).largest() < 1e-5


def test_a_trailing_schedule_that_diffusers_makes_one_step_longer_is_so_here(run_both):
    assert len(run_both({**SD, "timestep_spacing": "trailing"}, 61).steps) == 62


@pytest.mark.parametrize("start", [1, 7, 19])
def test_a_run_may_start_late(run_both, start):
    assert run_both(SD, 20, start=start).largest() < 1e-5


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
@pytest.mark.parametrize("final", [0.0, 0.02])
def test_sigmas_of_ones_own_are_taken(run_both, final, kind, prediction):
    config = {**SD, "timestep_type": kind, "prediction_type": prediction}
    assert run_both(config, 1, schedule={"sigmas": [14.6, 3.0, 1.0, 0.3, final]}).largest() < 1e-5


def test_timesteps_of_ones_own_are_taken(run_both):
    assert run_both(SD, 1, schedule={"timesteps": [999, 850.5, 420, 3]}).largest() < 1e-5


@pytest.mark.parametrize(
    "settings, schedule, message",
    [
        ({}, {"timesteps": [999, 999]}, "each smaller than the one before"),
        ({}, {"timesteps": []}, "must be a list of numbers"),
        ({}, {"timesteps": [1000, 10]}, "they must lie from 999 to 0"),
        ({}, {"sigmas": [14.0]}, "with the final one"),
        ({}, {"sigmas": [14.0, -1.0]}, "with the final one"),
        ({}, {"sigmas": [float("nan"), 0.0]}, "must be a list of numbers"),
        ({}, {"timesteps": [999, 10], "sigmas": [14.0, 0.0]}, "both given"),
        ({}, {"mu": 1.0}, "EulerDiscreteScheduler takes no mu"),
        ({"use_karras_sigmas": True}, {"timesteps": [999, 10]}, "timesteps can't be given where Karras"),
        ({"timestep_type": "continuous", "prediction_type": "v_prediction"}, {"timesteps": [999]}, "give sigmas"),
    ],
    ids=str,
)
def test_a_schedule_that_cannot_be_is_refused(settings, schedule, message):
    with pytest.raises(BadRequest, match=message):
        make_scheduler({**SD, **settings}, 5, **schedule)


def test_sigma_limits_that_cross_are_refused():
    with pytest.raises(BadRequest, match="sigma_min is 20 and sigma_max 14"):
        make_scheduler({**SD, "sigma_min": 20.0, "use_karras_sigmas": True}, 5)
