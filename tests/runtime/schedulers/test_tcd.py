"""TCD, against Diffusers at every step, its noise included."""

import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

TCD = {"_class_name": "TCDScheduler"}


@pytest.mark.parametrize("steps", [1, 2, 4, 20, 50])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_every_step_is_diffusers_own(run_both, prediction, eta, steps):
    config = {**TCD, "prediction_type": prediction}
    assert run_both(config, steps, overrides={"eta": eta}, eta=eta).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"original_inference_steps": 30},
        {"beta_schedule": "linear"},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
        # Diffusers has these settings and never reads them.
        {"clip_sample": True, "thresholding": True, "timestep_scaling": 1.0, "timestep_spacing": "trailing"},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**TCD, **settings}, 6, overrides={"eta": 0.3}, eta=0.3).largest() < 1e-5


def test_timesteps_of_ones_own_are_taken(run_both):
    assert run_both(TCD, 1, schedule={"timesteps": [999, 700, 12]}, overrides={"eta": 0.3}, eta=0.3).largest() < 1e-5


def test_an_eta_out_of_range_is_refused():
    with pytest.raises(BadRequest, match=r"eta is 1\.5"):
        make_scheduler(TCD, 4, overrides={"eta": 1.5})


def test_more_steps_than_it_was_distilled_with_are_refused():
    with pytest.raises(BadRequest, match="steps is 51; original_inference_steps allows from 1 to 50"):
        make_scheduler(TCD, 51)
