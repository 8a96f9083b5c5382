"""Profiles: measured of tiny bundles, and made up."""

import pytest

from aquatint.bench.profiling.profile import Operator, Profile, profile_bundle
from aquatint.runtime.bundle import open_bundle
from aquatint.runtime.session import EngineOptions

STEPS = 3


def draw(pipe):
    return pipe("a boat", seed=1, num_inference_steps=STEPS)


def profiled(folder):
    bundle = open_bundle(folder, options=EngineOptions(profile=True))
    try:
        return profile_bundle(bundle, draw)
    finally:
        bundle.close()


@pytest.fixture(scope="session", params=["openvino:cpu", "ort:cpu"])
def measured(request, workshop):
    """Of tiny-sd in float32."""
    return profiled(workshop.bundle("tiny-sd", request.param))


@pytest.fixture
def made_up():
    """Nobody measured this: 10 ms, of which 8 are the UNet's."""
    rows = [
        ("text_encoder", "gather", "lookup", "fp32", (), 2, 0.001),
        ("unet", "conv", "convolution", "fp16", ("down_blocks.0", "resnets.0", "conv1"), 3, 0.002),
        ("unet", "order", "reorder", "fp16", ("down_blocks.0", "resnets.0"), 3, 0.001),
        ("unet", "heads", "attention", "fp16", ("down_blocks.1", "attentions.0", "attn1"), 3, 0.003),
        ("unet", "sum", "elementwise", "fp32", (), 3, 0.0015),
        ("unet", "other conv", "convolution", "int8", ("conv_out",), 3, 0.0005),
        ("vae_decoder", "conv", "convolution", None, ("decoder", "conv_in"), 1, 0.001),
    ]
    return Profile(tuple(Operator(*row) for row in rows), {"text_encoder": 0.002, "unet": 0.0085, "vae_decoder": 0.001})
