"""The training schedules and the formulas for sigmas, against torch, Diffusers and SciPy."""

import numpy as np
import pytest

from aquatint.runtime.betas import BetaConfig, cumulative_alphas
from aquatint.runtime.sigmas import beta_sigmas, sigmas_to_timesteps, training_sigmas


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("count", [1000, 100, 7])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_cumulative_alphas_are_diffusers_own(schedule, count, rescale):
    ddim = pytest.importorskip("diffusers").DDIMScheduler
    theirs = ddim(count, beta_schedule=schedule, rescale_betas_zero_snr=rescale).alphas_cumprod.numpy()
    config = BetaConfig(num_train_timesteps=count, beta_schedule=schedule)
    ours = cumulative_alphas(config, rescale)
    assert ours.dtype == np.float32
    # Two bits in float32; torch without AVX2 differs from torch with it by as much.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2.4e-7)
    assert (ours[-1] == 0) == rescale


def test_beta_sigmas_are_scipys_quantiles():
    stats = pytest.importorskip("scipy.stats")
    expected = 0.03 + stats.beta.ppf(1 - np.linspace(0, 1, 50), 0.6, 0.6) * (14.6 - 0.03)
    # Both bisect or iterate to a few bits of float64.
    np.testing.assert_allclose(beta_sigmas(0.03, 14.6, 50), expected, rtol=1e-12)


def test_trained_sigmas_lie_at_their_own_timesteps():
    trained = training_sigmas(cumulative_alphas(BetaConfig()))
    # A float32 logarithm of neighbours 1e-3 apart leaves a timestep uncertain by 1e-4.
    np.testing.assert_allclose(sigmas_to_timesteps(trained, trained), np.arange(1000), atol=1e-3)
    np.testing.assert_array_equal(sigmas_to_timesteps(np.array([1e-9, 1e9]), trained), [0, 999])
