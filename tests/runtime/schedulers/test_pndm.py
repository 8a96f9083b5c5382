"""PNDM, against Diffusers at every call, with the Runge-Kutta start and without."""

import numpy as np
import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

SD = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 20, 50])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_every_call_is_diffusers_own(run_both, prediction, spacing, steps):
    config = {**SD, "prediction_type": prediction, "timestep_spacing": spacing}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.parametrize("steps", [4, 5, 20, 50])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_every_call_of_the_runge_kutta_start_is_diffusers_own(run_both, prediction, spacing, steps):
    config = {**SD, "prediction_type": prediction, "timestep_spacing": spacing, "skip_prk_steps": False}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"set_alpha_to_one": True},
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": [0.0001 + 0.00002 * i for i in range(1000)]},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**SD, **settings}, 20).largest() < 1e-5


@pytest.mark.parametrize("start", [1, 7])
def test_a_run_may_start_late(run_both, start):
    assert run_both(SD, 20, start=start).largest() < 1e-5


def test_the_second_timestep_is_called_twice():
    np.testing.assert_array_equal(make_scheduler(SD, 4).timesteps, [751, 501, 501, 251, 1])


def test_too_few_steps_for_the_runge_kutta_start_are_refused():
    with pytest.raises(BadRequest, match="needs 4 or more"):
        make_scheduler({**SD, "skip_prk_steps": False}, 3)
