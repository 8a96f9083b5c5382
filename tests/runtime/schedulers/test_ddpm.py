"""DDPM, against Diffusers at every step, its noise included."""

import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

SD = {"_class_name": "DDPMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SPACINGS = ["linspace", "leading", "trailing"]


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 50])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_every_step_is_diffusers_own(run_both, prediction, spacing, steps):
    config = {**SD, "prediction_type": prediction, "timestep_spacing": spacing, "clip_sample": False}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"variance_type": "fixed_small_log"},
        {"variance_type": "fixed_large"},
        {"clip_sample": True, "clip_sample_range": 2.5},
        {"thresholding": True},
        {"thresholding": True, "sample_max_value": 1.5, "dynamic_thresholding_ratio": 0.9},
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "laplace"},
        {"beta_schedule": "sigmoid"},
        {"trained_betas": [0.0001 + 0.00002 * i for i in range(1000)]},
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**SD, **settings}, 20).largest() < 1e-5


def test_a_variance_that_the_model_predicts_is_taken(run_both):
    assert run_both({**SD, "variance_type": "learned_range"}, 20, channels=8).largest() < 1e-5


def test_a_model_that_predicts_no_variance_is_refused(run_both):
    with pytest.raises(BadRequest, match="this model predicts no variance"):
        run_both({**SD, "variance_type": "learned_range"}, 20)


def test_timesteps_of_ones_own_are_taken(run_both):
    assert run_both(SD, 1, schedule={"timesteps": [999, 500, 100, 3, 0]}).largest() < 1e-5


def test_a_run_may_start_late(run_both):
    assert run_both(SD, 20, start=7).largest() < 1e-5


def test_a_variance_that_is_nan_in_diffusers_is_refused():
    with pytest.raises(BadRequest, match="variance_type is 'fixed_large_log'"):
        make_scheduler({**SD, "variance_type": "fixed_large_log"}, 5)
