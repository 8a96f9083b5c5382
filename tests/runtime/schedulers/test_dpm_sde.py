"""DPM++ SDE, against Diffusers at every call, its Brownian noise included; needs torchsde."""

import numpy as np
import pytest

from aquatint.runtime import brownian
from aquatint.runtime.random import TorchGenerator, randn_tensor
from aquatint.runtime.scheduler import make_scheduler

SD = {
    "_class_name": "DPMSolverSDEScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
FORMULAS = [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]


# torchsde warns of ends that rounding moves past its interval's.
pytestmark = pytest.mark.filterwarnings("ignore:Should have t")


@pytest.fixture
def coarse_time(monkeypatch):
    """Brownian motion at times rounded to 1e-3 instead of 1e-6, on both sides.

    1e-6 is a float32's last bit at sigma 8 to 16. Where torch rounds a logarithm or a root wrongly (1 in 100 with MKL),
    it takes the noise of a time 1e-6 off, which differs by 1e-3 of a step's noise.
    """
    torchsde = pytest.importorskip("torchsde")
    interval = torchsde.BrownianInterval
    monkeypatch.setattr(torchsde, "BrownianInterval", lambda **settings: interval(**{**settings, "tol": 1e-3}))
    monkeypatch.setattr(brownian, "DIGITS", 3)


@pytest.mark.usefixtures("coarse_time")
@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula), "timesteps"))
def test_every_schedule_is_diffusers_own(run_both, formula, spacing, steps):
    config = {**SD, **formula, "timestep_spacing": spacing, "steps_offset": 1, "noise_sampler_seed": 5}
    assert run_both(config, steps).largest() < 1e-5


@pytest.mark.parametrize("spacing", ["linspace", "trailing"])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula), "timesteps"))
def test_noise_at_times_as_they_are_is_diffusers_own_but_for_a_bit_of_time(run_both, formula, spacing):
    config = {**SD, **formula, "timestep_spacing": spacing, "noise_sampler_seed": 5}
    assert run_both(config, 10).largest() < 1e-3


@pytest.mark.usefixtures("coarse_time")
@pytest.mark.parametrize(
    "settings",
    [
        {"prediction_type": "v_prediction"},
        {"noise_sampler_seed": 2**40},
        {"sigma_min": 0.1, "use_beta_sigmas": True},
        {"sigma_max": 9.0},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**SD, "noise_sampler_seed": 0, **settings}, 10).largest() < 1e-5


@pytest.mark.usefixtures("coarse_time")
def test_a_run_may_start_late(run_both):
    assert run_both({**SD, "noise_sampler_seed": 5}, 20, start=14).largest() < 1e-5


def test_without_a_seed_each_image_has_the_noise_of_its_own_generator():
    both = _moved(np.ones((2, 4, 8, 8), dtype=np.float32), [1, 2])
    alone = _moved(np.ones((1, 4, 8, 8), dtype=np.float32), [2])
    np.testing.assert_array_equal(both[1], alone[0])
    assert not np.allclose(both[0], both[1])


def _moved(sample, seeds):
    """A batch after three calls, with a generator for each image."""
    scheduler = make_scheduler(SD, 4)
    generators = [TorchGenerator(seed) for seed in seeds]
    shape = sample.shape
    for index in range(3):
        sample = scheduler.step(np.zeros_like(sample), index, sample, lambda: randn_tensor(shape, generators))
    return sample
