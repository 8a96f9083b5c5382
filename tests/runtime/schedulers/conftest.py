"""Our schedulers and Diffusers' side by side, on the same noise and the same model outputs."""

import inspect
from dataclasses import dataclass, field

import numpy as np
import pytest

from aquatint.runtime.random import TorchGenerator
from aquatint.runtime.scheduler import make_scheduler

SHAPE = (2, 4, 6, 6)
SEED = 42


@dataclass
class Deviations:
    """The largest difference to Diffusers over Diffusers' largest value: of each step, and of all else."""

    steps: list[float] = field(default_factory=list)
    scaled_inputs: list[float] = field(default_factory=list)
    added_noise: list[float] = field(default_factory=list)

    def largest(self) -> float:
        return max(self.steps + self.scaled_inputs + self.added_noise)


@pytest.fixture
def run_both():
    """(config, steps, ...) -> Deviations of one run through both, from timesteps[start] on.

    name: a Diffusers class to run instead of the config's own.  channels: of the model's answers.
    schedule: timesteps, sigmas or mu, for both.  step_options: for Diffusers' step.
    What must be equal (timesteps, the first noise level, where noise is drawn) is asserted on the way.
    """
    diffusers, torch = pytest.importorskip("diffusers"), pytest.importorskip("torch")

    def run(config, steps, start=0, name=None, overrides=None, schedule=None, channels=4, **step_options):
        class_name = name or config["_class_name"]
        if class_name == "DPMSolverSDEScheduler":
            pytest.importorskip("torchsde")
        theirs = _constructed(getattr(diffusers, class_name), config)
        schedule = {key: np.array(value) for key, value in (schedule or {}).items()}
        theirs.set_timesteps(**schedule if schedule.keys() - {"mu"} else {"num_inference_steps": steps, **schedule})
        ours = make_scheduler(config, steps, name, overrides, **schedule)
        # Whole timesteps are equal, then. Those of Karras and the like, and those between steps, come of float32
        # logarithms and of sigma = x ** 0.5, which torch rounds otherwise in the last bit for one x in 150.
        np.testing.assert_allclose(ours.timesteps, theirs.timesteps.numpy().astype(np.float32), rtol=1e-6, atol=0)
        assert ours.timesteps.dtype == np.float32
        # Flow schedulers of Diffusers have none: their pipelines start from unit noise.
        assert ours.init_noise_sigma == pytest.approx(float(getattr(theirs, "init_noise_sigma", 1.0)), rel=1e-6)
        return _follow(ours, theirs, start, channels, step_options, torch)

    return run


def _constructed(scheduler, config):
    """Diffusers' object, without the timesteps of a thousand steps that some constructors look up and nobody uses."""
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(scheduler, "index_for_timestep"):
            patch.setattr(scheduler, "_sigma_to_t", lambda self, sigma, *rest: 0.0, raising=False)
            patch.setattr(
                scheduler, "_convert_to_beta", lambda self, in_sigmas, *rest, **more: in_sigmas, raising=False
            )
        return scheduler.from_config(config)


@pytest.fixture
def exact_roots(monkeypatch):
    """torch's x ** 0.5 correctly rounded, as any CPU's own square root is.

    torch with MKL rounds 6 roots in 1000 wrongly. Third-order solvers divide third differences by powers of a small
    step, so that the bit is enlarged to 3e-4 of the sample at 50 steps; without it, they agree to 2e-6.
    """
    torch = pytest.importorskip("torch")
    power = torch.Tensor.__pow__

    def rounded(tensor, exponent):
        if exponent != 0.5 or tensor.dtype != torch.float32:
            return power(tensor, exponent)
        return torch.from_numpy(np.sqrt(np.atleast_1d(tensor.numpy()))).reshape(tensor.shape)

    monkeypatch.setattr(torch.Tensor, "__pow__", rounded)


def _follow(ours, theirs, start, channels, step_options, torch):
    rng = np.random.default_rng(0)
    deviations = Deviations()
    our_generator, their_generator = TorchGenerator(SEED), torch.Generator().manual_seed(SEED)
    if "eta" in inspect.signature(theirs.step).parameters:
        # As Diffusers' pipelines do by default.
        step_options = {"eta": 0.0, **step_options}
    if "generator" in inspect.signature(theirs.step).parameters:
        step_options = {**step_options, "generator": their_generator}
    sample = our_generator.randn(SHAPE) * np.float32(ours.init_noise_sigma)
    expected = torch.randn(SHAPE, generator=their_generator) * getattr(theirs, "init_noise_sigma", 1.0)
    add_noise = theirs.add_noise if hasattr(theirs, "add_noise") else _flow_noise(theirs)
    for index in range(start, len(ours.timesteps)):
        timestep = theirs.timesteps[index]
        if hasattr(theirs, "set_begin_index") and index == start:
            theirs.set_begin_index(start)
        noised = add_noise(expected, expected.flip(0), timestep[None])
        deviations.added_noise.append(_deviation(ours.add_noise(sample, sample[::-1], index), noised))
        scaled = theirs.scale_model_input(expected, timestep) if hasattr(theirs, "scale_model_input") else expected
        deviations.scaled_inputs.append(_deviation(ours.scale_model_input(sample, index), scaled))
        output = rng.standard_normal((SHAPE[0], channels, *SHAPE[2:]), dtype=np.float32)
        sample = ours.step(output, index, sample, lambda: our_generator.randn(SHAPE))
        expected = theirs.step(torch.from_numpy(output), timestep, expected, **step_options).prev_sample
        deviations.steps.append(_deviation(sample, expected))
    # The same next draw on both sides: as many draws were made.
    follows = torch.randn(SHAPE, generator=their_generator).numpy()
    np.testing.assert_allclose(our_generator.randn(SHAPE), follows, rtol=0, atol=1e-5)
    return deviations


def _flow_noise(theirs):
    return lambda original, noise, timestep: theirs.scale_noise(original, timestep, noise)


def _deviation(ours, theirs):
    theirs = theirs.numpy()
    assert ours.dtype == np.float32
    assert np.isfinite(theirs).all()
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
