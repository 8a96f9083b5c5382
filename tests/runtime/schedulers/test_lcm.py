"""LCM, against Diffusers at every step, its noise included."""

import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

LCM = {"_class_name": "LCMScheduler"}


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 20, 50])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_every_step_is_diffusers_own(run_both, prediction, steps):
    assert run_both({**LCM, "prediction_type": prediction}, steps).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"original_inference_steps": 100},
        {"original_inference_steps": 30},
        {"timestep_scaling": 1.0},
        {"timestep_scaling": 0.001},
        {"clip_sample": True},
        {"thresholding": True, "clip_sample": True},
        {"thresholding": True, "sample_max_value": 2.0, "dynamic_thresholding_ratio": 0.9},
        {"clip_sample": True, "clip_sample_range": 0.5},
        {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": [0.0001 + 0.00002 * i for i in range(1000)]},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
        {"timestep_spacing": "trailing", "steps_offset": 1, "set_alpha_to_one": False},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**LCM, **settings}, 6).largest() < 1e-5


def test_timesteps_of_ones_own_are_taken(run_both):
    assert run_both(LCM, 1, schedule={"timesteps": [999, 700, 12]}).largest() < 1e-5


@pytest.mark.parametrize(
    "timesteps, message", [([999, 3.5], "takes whole ones"), ([3, 999], "each smaller"), ([1200, 3], "from 999 to 0")]
)
def test_timesteps_that_cannot_be_are_refused(timesteps, message):
    with pytest.raises(BadRequest, match=message):
        make_scheduler(LCM, 4, timesteps=timesteps)


def test_the_last_step_draws_no_noise():
    scheduler = make_scheduler(LCM, 1)
    sample = scheduler.timesteps.reshape(1, 1)
    scheduler.step(sample, 0, sample, draw=lambda: pytest.fail("drew noise"))


def test_more_steps_than_it_was_distilled_with_are_refused():
    with pytest.raises(BadRequest, match="steps is 51; original_inference_steps allows from 1 to 50"):
        make_scheduler(LCM, 51)


def test_more_distilled_steps_than_trained_ones_are_refused():
    with pytest.raises(BadRequest, match="original_inference_steps is 2000"):
        make_scheduler({**LCM, "original_inference_steps": 2000}, 4)
