"""Euler, against Diffusers at every step."""

import pytest

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
