"""Inpainting: what stays of a picture, and what a denoiser made for it sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scheduler import Scheduler


@dataclass(frozen=True)
class Kept:
    """A picture of which a denoiser that knows no masks must leave what lies outside of one.

    latents: the picture's, (images, channels, h, w).  noise: unit, the run's first.  mask: (images, 1, h, w), 1 where
    the picture is painted anew.
    """

    latents: np.ndarray
    noise: np.ndarray
    mask: np.ndarray

    def put_back(self, latents: np.ndarray, scheduler: Scheduler, following: int | None) -> np.ndarray:
        """The latents after a step, with the picture outside of the mask.

        following: index of the next timestep, whose noise the picture gets, or None behind the last.
        """
        own = self.latents if following is None else scheduler.add_noise(self.latents, self.noise, following)
        return (np.float32(1) - self.mask) * own + self.mask * latents
