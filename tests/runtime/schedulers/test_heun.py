"""Heun's method, against Diffusers at every call."""

import pytest

SD = {
    "_class_name": "HeunDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
FORMULAS = [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 50])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula), "timesteps"))
def test_every_schedule_is_diffusers_own(run_both, formula, spacing, steps):
    deviations = run_both({**SD, **formula, "timestep_spacing": spacing, "steps_offset": 1}, steps)
    assert deviations.largest() < 1e-5
    assert len(deviations.steps) == 2 * steps - 1


@pytest.mark.parametrize(
    "settings",
    [
        {"prediction_type": "v_prediction"},
        {"prediction_type": "sample"},
        {"clip_sample": True, "clip_sample_range": 2.0},
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "exp"},
        {"sigma_min": 0.1, "sigma_max": 10.0, "use_karras_sigmas": True},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**SD, **settings}, 20).largest() < 1e-5


def test_timesteps_of_ones_own_are_taken(run_both):
    assert run_both(SD, 1, schedule={"timesteps": [999.0, 500.5, 100.0, 3.0]}).largest() < 1e-5


def test_a_run_may_start_late(run_both):
    assert run_both(SD, 20, start=14).largest() < 1e-5
