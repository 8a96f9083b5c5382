"""DPM2 and DPM2 ancestral, against Diffusers at every call, noise included."""

import pytest

CLASSES = ["KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"]
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
FORMULAS = [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 50])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula), "timesteps"))
@pytest.mark.parametrize("class_name", CLASSES)
def test_every_schedule_is_diffusers_own(run_both, class_name, formula, spacing, steps):
    config = {**SD, **formula, "_class_name": class_name, "timestep_spacing": spacing, "steps_offset": 1}
    deviations = run_both(config, steps)
    assert deviations.largest() < 1e-5
    assert len(deviations.steps) == 2 * steps - 1


@pytest.mark.parametrize(
    "settings", [{"prediction_type": "v_prediction"}, {"beta_schedule": "linear"}, {"sigma_min": 0.1}], ids=str
)
@pytest.mark.parametrize("class_name", CLASSES)
def test_every_setting_acts_as_in_diffusers(run_both, class_name, settings):
    assert run_both({**SD, **settings, "_class_name": class_name}, 20).largest() < 1e-5


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_run_may_start_late(run_both, class_name):
    assert run_both({**SD, "_class_name": class_name}, 20, start=14).largest() < 1e-5
