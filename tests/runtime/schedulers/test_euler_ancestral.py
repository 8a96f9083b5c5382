"""Euler ancestral, against Diffusers at every step, its noise included."""

import pytest

SD = {
    "_class_name": "EulerAncestralDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}


@pytest.mark.parametrize("steps", [1, 2, 4, 20, 50])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_every_step_is_diffusers_own(run_both, prediction, spacing, steps):
    config = {**SD, "prediction_type": prediction, "timestep_spacing": spacing, "steps_offset": 1}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"beta_schedule": "linear"},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": [0.0001 + 0.00002 * i for i in range(1000)]},
        {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"},
    ],
    ids=str,
)
def test_every_schedule_is_diffusers_own(run_both, settings):
    assert run_both({**SD, **settings}, 20).largest() < 1e-5


def test_a_run_may_start_late(run_both):
    assert run_both(SD, 20, start=7).largest() < 1e-5
