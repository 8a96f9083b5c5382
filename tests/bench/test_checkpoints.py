"""Checkpoints of random weights, as Diffusers sees them."""

import numpy as np
import pytest

from aquatint.bench.checkpoints import ARCHITECTURES

TINY = [name for name in ARCHITECTURES if name.startswith("tiny")]


@pytest.fixture(params=TINY)
def loaded(request, workshop):
    """(name, Diffusers' pipeline) of a tiny architecture."""
    diffusers = pytest.importorskip("diffusers")
    folder = workshop.checkpoint(request.param)
    return request.param, diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)


def test_diffusers_loads_every_tiny_architecture_as_the_pipeline_it_names(loaded):
    name, pipe = loaded
    arch = ARCHITECTURES[name]
    assert type(pipe).__name__ == arch.pipeline
    assert type(pipe.scheduler).__name__ == arch.scheduler["_class_name"]
    assert all(np.isfinite(weight.detach().numpy()).all() for weight in pipe.unet.parameters())
    # CLIP has 49408 tokens; the byte tokenizer reads any text with ids below that.
    tokenizer = pipe.tokenizer if arch.text_encoder else pipe.tokenizer_2
    assert tokenizer("\U0001f3a8 a", padding="max_length").input_ids[0] == 49406


def test_every_large_architecture_has_a_tiny_one_of_its_kind():
    kinds = {(arch.pipeline, arch.unet.get("in_channels", 4)) for arch in ARCHITECTURES.values()}
    tiny = {(ARCHITECTURES[name].pipeline, ARCHITECTURES[name].unet.get("in_channels", 4)) for name in TINY}
    assert kinds == tiny
