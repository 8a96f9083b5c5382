"""DDIM, against Diffusers at every step."""

import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

SD = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


@pytest.mark.parametrize("steps", [1, 2, 4, 20, 50])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_every_step_is_diffusers_own(run_both, prediction, spacing, steps):
    config = {**SD, "prediction_type": prediction, "timestep_spacing": spacing}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"set_alpha_to_one": True},
        {"clip_sample": True},
        {"thresholding": True, "clip_sample": True},
        {"thresholding": True, "sample_max_value": 2.0, "dynamic_thresholding_ratio": 0.9},
        {"clip_sample": True, "clip_sample_range": 2.5, "prediction_type": "v_prediction"},
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": [0.0001 + 0.00002 * i for i in range(1000)]},
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "sample"},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**SD, **settings}, 20).largest() < 1e-5


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_eta_adds_diffusers_own_noise(run_both, eta):
    assert run_both(SD, 20, overrides={"eta": eta}, eta=eta).largest() < 1e-5


def test_a_run_may_start_late(run_both):
    assert run_both(SD, 20, start=7).largest() < 1e-5


@pytest.mark.parametrize("steps, spacing, beyond", [(1000, "leading", "1000"), (61, "trailing", "-1")])
def test_a_timestep_outside_the_training_schedule_is_refused(steps, spacing, beyond):
    with pytest.raises(BadRequest, match=f"{beyond}.* beyond the 1000 trained ones"):
        make_scheduler({**SD, "timestep_spacing": spacing}, steps)


def test_noise_prediction_from_nothing_but_noise_is_refused():
    config = {**SD, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    with pytest.raises(BadRequest, match="rescale_betas_zero_snr"):
        make_scheduler(config, 20)
