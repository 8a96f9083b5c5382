"""A denoiser twice: on the host, and with its latents in the memory of a GPU that is not there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import pytest

from aquatint.runtime.denoise import Conditioning, Guidance, Start, denoise
from aquatint.runtime.device.session import DeviceSession
from aquatint.runtime.manifest import read_manifest
from aquatint.runtime.ort.network import OrtNetwork
from aquatint.runtime.scheduler import make_scheduler
from aquatint.runtime.session import EngineOptions, open_session
from aquatint.runtime.shapes import Shapes
from aquatint.runtime.target import Target
from aquatint.tests.stand_ins.ort import Queued

SIDE = 8  # of the latents
CPU = Target("ort", "cpu")


@dataclass
class Denoisers:
    """The tiny UNet on both sides.  model: what the resident one runs."""

    host: Any
    resident: DeviceSession
    model: Queued

    def run(self, denoiser, shapes, images=1, guided=True, name=None, steps=4, draws=None, **told):
        """The steps of a run that is the same each time it is asked for.  draws: counts them."""
        rng = np.random.default_rng(7)

        def unit(*shape):
            return rng.standard_normal(shape).astype(np.float32)

        scheduler = make_scheduler(BASE, steps, name)
        states = {"encoder_hidden_states": unit(images, 77, 32)}
        negative = {"encoder_hidden_states": unit(images, 77, 32)} if guided else None
        latents = unit(images, 4, SIDE, SIDE) * np.float32(scheduler.init_noise_sigma)
        start = told.pop("start", None) or Start(latents, range(told.pop("first", 0), len(scheduler.timesteps)))

        def draw():
            if draws is not None:
                draws.append(1)
            return unit(images, 4, SIDE, SIDE)

        guidance = Guidance(5.0 if guided else 1.0, told.pop("rescale", 0.0))
        return denoise(denoiser, scheduler, start, Conditioning(states, negative), guidance, shapes, draw)

    def apart(self, shapes=None, **told):
        """The largest difference of the latents of any step, of the largest value."""
        shapes = shapes or shapes_of()
        theirs = [step.latents for step in self.run(self.host, shapes, **told)]
        ours = [step.latents for step in self.run(self.resident, shapes, **told)]
        assert len(ours) == len(theirs)
        return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(ours, theirs, strict=True))


BASE = {
    "_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False,
}  # fmt: skip


def shapes_of(batch=1, guidance="batch"):
    return Shapes(((64, 64),), batch=batch, guidance=guidance)


@pytest.fixture(scope="session")
def unet(workshop):
    """Where the tiny UNet is, and the component."""
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    part = read_manifest(folder).component("unet")
    return folder / part.artifact, part


@pytest.fixture(scope="session")
def unet_model(unet):
    return onnxruntime.InferenceSession(str(unet[0]), providers=["CPUExecutionProvider"])


@pytest.fixture
def denoisers(gpu, memory, unet, unet_model):
    path, part = unet
    host = open_session(path, part, CPU, shapes_of(), EngineOptions())
    model = Queued(unet_model, gpu, memory.stream)
    memory.device = "cpu"  # as ONNX Runtime names the memory that the stand-in has
    resident = DeviceSession(OrtNetwork(lambda recorded: model, part, memory, recorded=True), part, memory)
    yield Denoisers(host, resident, model)
    resident.close()
    assert gpu.held_bytes() == 0
