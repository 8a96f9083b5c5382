"""Diffusers' pipelines and ours over the same tiny checkpoints, and pictures to start from."""

from dataclasses import dataclass, field

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from aquatint import load
from aquatint.runtime.pixels import psnr_db
from aquatint.runtime.scheduler import diffusers_class

# Float32 on two engines differs by about 1e-6 a step; 50 dB is a mean error of under one grey level.
LEAST_DB = 50


@dataclass
class Sides:
    """Both sides of every comparison, opened once.  theirs: (checkpoint, class) ->; ours: (checkpoint, target) ->."""

    workshop: object
    theirs: dict = field(default_factory=dict)
    ours: dict = field(default_factory=dict)

    def reference(self, name, kind=None):
        """Diffusers' pipeline over a checkpoint, float32; kind: a class name for its networks, or its own."""
        if (name, kind) not in self.theirs:
            own = diffusers.DiffusionPipeline.from_pretrained(self.workshop.checkpoint(name), torch_dtype=torch.float32)
            pipe = own if kind is None else getattr(diffusers, kind)(**own.components, **_switches(own, kind))
            pipe.set_progress_bar_config(disable=True)
            if not hasattr(pipe.text_encoder, "text_model") and pipe.text_encoder is not None:
                # Diffusers 0.42 looks for the final norm where Transformers 5 no longer has it.
                pipe.text_encoder.__dict__["text_model"] = pipe.text_encoder
            self.theirs[name, kind] = pipe
        return self.theirs[name, kind]

    def pipe(self, name, target="ort:cpu", profile="exact"):
        """Our pipeline over the bundle of a checkpoint."""
        key = (name, target, profile if isinstance(profile, str) else profile.name)
        if key not in self.ours:
            self.ours[key] = load(self.workshop.bundle(name, target, profile))
        return self.ours[key]

    def agree(self, name, kind, told, *, seed=5, target="ort:cpu", profile="exact", scheduler=None, **only_ours):
        """The least PSNR in dB over the pictures that both make.

        told: arguments of both.  kind: Diffusers' class.  seed: of one generator, or a list for one each.
        scheduler: another for both, by our name or as a configuration.  only_ours: arguments that Diffusers lacks.
        """
        reference = self.reference(name, kind)
        kept = reference.scheduler
        if scheduler is not None:
            reference.scheduler = self._scheduler(scheduler, kept.config)
        seeds = seed if isinstance(seed, list) else [seed]
        generators = [torch.Generator("cpu").manual_seed(each) for each in seeds]
        pipe = self.pipe(name, target, profile)
        defaults = {"guidance_scale": pipe.manifest.defaults.guidance_scale}
        try:
            expected = reference(
                **{**defaults, **told}, generator=generators if isinstance(seed, list) else generators[0]
            ).images
        finally:
            reference.scheduler = kept
        printed = pipe(**told, seed=seed, scheduler=scheduler, **only_ours).images
        assert len(printed) == len(expected)
        if isinstance(printed, np.ndarray):
            return min(_db(ours, other) for ours, other in zip(printed, np.asarray(expected)))
        return min(psnr_db(ours, other) for ours, other in zip(printed, expected))

    def _scheduler(self, scheduler, config):
        if isinstance(scheduler, str):
            return getattr(diffusers, diffusers_class(scheduler)).from_config(config)
        return getattr(diffusers, scheduler["_class_name"]).from_config(scheduler)


def _switches(own, kind):
    """Settings of a pipeline beside its components, which its class must be told again."""
    names = ("force_zeros_for_empty_prompt", "requires_aesthetics_score", "requires_safety_checker")
    known = getattr(diffusers, kind).__init__.__code__.co_varnames
    return {name: own.config[name] for name in names if name in own.config and name in known}


def _db(ours, other):
    """PSNR of arrays whose values span what the reference's do."""
    error = float(np.mean((ours.astype(np.float64) - other) ** 2))
    return 100.0 if error == 0 else min(100.0, 10 * float(np.log10(np.ptp(other) ** 2 / error)))


@pytest.fixture(scope="session")
def sides(workshop):
    both = Sides(workshop)
    yield both
    for pipe in both.ours.values():
        pipe.close()


@pytest.fixture(scope="session")
def picture():
    """A smooth picture of 64 x 64 pixels with an edge in it."""
    return drawn(64, 64)


@pytest.fixture(scope="session")
def pictures():
    """Two that differ."""
    return [drawn(64, 64), drawn(64, 64, 0.2)]


@pytest.fixture(scope="session")
def mask():
    """White, to be painted anew, in a part that no latent's border meets."""
    values = np.zeros((64, 64), np.uint8)
    values[13:50, 22:59] = 255
    return Image.fromarray(values)


def drawn(height, width, shift=0.0):
    """Gradients and a disc; shift: moves the disc, so that pictures differ."""
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    disc = (x - 0.5 - shift) ** 2 + (y - 0.4) ** 2 < 0.06
    planes = np.stack([x, np.where(disc, 0.9, y), np.where(disc, 0.1, 1 - x * y)], axis=-1)
    return Image.fromarray((planes * 255).round().astype(np.uint8))
