"""DPM2 with part of each step taken back as fresh noise."""

from ..variance_exploding import ancestral
from . import dpm2

CLASS_NAME = "KDPM2AncestralDiscreteScheduler"
Config = dpm2.Config


class Scheduler(dpm2.Midpoint):
    """Source: Crowson's k-diffusion, sample_dpm_2_ancestral."""

    def __init__(self, config: Config, steps: int) -> None:
        super().__init__(config, steps, lambda noise: ancestral(noise[:-1], noise[1:]))
