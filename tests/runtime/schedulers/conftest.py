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

    name: a Diffusers class to run instead of the config's own.  step_options: for Diffusers' step.
    What must be equal (timesteps, the first noise level, where noise is drawn) is asserted on the way.
    """
    diffusers, torch = pytest.importorskip("diffusers"), pytest.importorskip("torch")

    def run(config, steps, start=0, name=None, overrides=None, **step_options):
        theirs = getattr(diffusers, name or config["_class_name"]).from_config(config)
        theirs.set_timesteps(steps)
        ours = make_scheduler(config, steps, name, overrides)
        # Whole timesteps are equal, then. Those of Karras and the like come of sigma = x ** 0.5, which torch rounds
        # wrongly in the last bit for one x in 150; the timestep may then differ in its own last bit.
        np.testing.assert_allclose(ours.timesteps, theirs.timesteps.numpy().astype(np.float32), rtol=2.5e-7, atol=0)
        assert ours.timesteps.dtype == np.float32
        assert ours.init_noise_sigma == pytest.approx(float(theirs.init_noise_sigma), rel=1e-6)
        return _follow(ours, theirs, start, step_options, torch)

    return run


def _follow(ours, theirs, start, step_options, torch):
    rng = np.random.default_rng(0)
    deviations = Deviations()
    our_generator, their_generator = TorchGenerator(SEED), torch.Generator().manual_seed(SEED)
    if "generator" in inspect.signature(theirs.step).parameters:
        step_options = {**step_options, "generator": their_generator}
    sample = our_generator.randn(SHAPE) * np.float32(ours.init_noise_sigma)
    expected = torch.randn(SHAPE, generator=their_generator) * theirs.init_noise_sigma
    for index in range(start, len(ours.timesteps)):
        timestep = theirs.timesteps[index]
        if hasattr(theirs, "set_begin_index") and index == start:
            theirs.set_begin_index(start)
        noised = theirs.add_noise(expected, expected.flip(0), timestep[None])
        deviations.added_noise.append(_deviation(ours.add_noise(sample, sample[::-1], index), noised))
        scaled = theirs.scale_model_input(expected, timestep)
        deviations.scaled_inputs.append(_deviation(ours.scale_model_input(sample, index), scaled))
        output = rng.standard_normal(SHAPE, dtype=np.float32)
        sample = ours.step(output, index, sample, lambda: our_generator.randn(SHAPE))
        expected = theirs.step(torch.from_numpy(output), timestep, expected, **step_options).prev_sample
        deviations.steps.append(_deviation(sample, expected))
    # The same next draw on both sides: as many draws were made.
    follows = torch.randn(SHAPE, generator=their_generator).numpy()
    np.testing.assert_allclose(our_generator.randn(SHAPE), follows, rtol=0, atol=1e-5)
    return deviations


def _deviation(ours, theirs):
    theirs = theirs.numpy()
    assert ours.dtype == np.float32
    assert np.isfinite(theirs).all()
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
