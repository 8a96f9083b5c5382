"""LMS, against Diffusers at every step."""

import pytest

SD = {"_class_name": "LMSDiscreteScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
FORMULAS = [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula), "timesteps"))
def test_every_schedule_is_diffusers_own(run_both, formula, spacing, steps):
    pytest.importorskip("scipy.integrate")
    assert run_both({**SD, **formula, "timestep_spacing": spacing, "steps_offset": 1}, steps).largest() < 1e-5


@pytest.mark.parametrize("start", [1, 7])
def test_a_run_may_start_late(run_both, start):
    assert run_both(SD, 20, start=start).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"prediction_type": "v_prediction"},
        {"prediction_type": "sample"},
        {"beta_schedule": "squaredcos_cap_v2"},
        # Diffusers reads these for exponential sigmas, but not for Karras'.
        {"sigma_min": 0.1, "sigma_max": 10.0, "use_karras_sigmas": True},
        {"sigma_min": 0.1, "sigma_max": 10.0, "use_exponential_sigmas": True},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**SD, **settings}, 20).largest() < 1e-5
