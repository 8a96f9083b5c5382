"""Products counted from graphs, against PyTorch's own counter."""

import pytest

from aquatint.bench.roofline.count import count
from aquatint.runtime.bundle import open_bundle

TARGETS = ("openvino:cpu", "ort:cpu")
SHAPES = {
    "unet": {"sample": (2, 4, 8, 8), "timestep": (1,), "encoder_hidden_states": (2, 77, 32)},
    "vae_decoder": {"latent_sample": (1, 4, 8, 8)},
    "text_encoder": {"input_ids": (1, 77), "clip_skip": (1,)},
}


@pytest.fixture(scope="module")
def counted(workshop):
    """PyTorch's counts of the tiny checkpoint, by component and kind of product."""
    import torch
    from diffusers import StableDiffusionPipeline
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    pipe = StableDiffusionPipeline.from_pretrained(workshop.checkpoint("tiny-sd"), safety_checker=None)
    calls = {
        "unet": lambda: pipe.unet(torch.zeros(2, 4, 8, 8), 1, torch.zeros(2, 77, 32)),
        "vae_decoder": lambda: pipe.vae.decode(torch.zeros(1, 4, 8, 8)),
        "text_encoder": lambda: pipe.text_encoder(torch.zeros(1, 77, dtype=torch.int64)),
    }
    found = {}
    for name, call in calls.items():
        # In steps, since not every fused kernel is counted; their products are then batched ones.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            call()
        counts = {}
        for op, operations in counter.get_flop_counts()["Global"].items():
            kind = {"convolution": "convolution", "addmm": "linear", "mm": "linear", "bmm": "attention"}[
                str(op).split(".")[1]
            ]
            counts[kind] = counts.get(kind, 0) + operations
        found[name] = counts
    return found


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_product_is_counted_once(workshop, counted, target, name):
    work = count(open_bundle(workshop.bundle("tiny-sd", target)), name, SHAPES[name])
    found = {product.kind: product.operations for product in work.products}
    assert found == {kind: operations for kind, operations in counted[name].items() if operations}
    assert {product.type for product in work.products} == {"f32"}


@pytest.mark.parametrize("target", TARGETS)
def test_twice_the_batch_is_twice_the_work_and_the_same_weights(workshop, target):
    bundle = open_bundle(workshop.bundle("tiny-sd", target))
    once, twice = (
        count(bundle, "unet", {**SHAPES["unet"], "sample": (n, 4, 8, 8), "encoder_hidden_states": (n, 77, 32)})
        for n in (2, 4)
    )
    # The embedding of the time is computed once for the whole batch.
    assert 1.98 < twice.operations / once.operations <= 2
    assert twice.weights_bytes == once.weights_bytes > 1e5


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scheme", ["int8", "int4"])
def test_quantizing_changes_types_and_no_counts(workshop, quantized, target, scheme):
    exact = count(open_bundle(workshop.bundle("tiny-sd", target)), "unet", SHAPES["unet"])
    small = count(open_bundle(quantized(target, scheme)), "unet", SHAPES["unet"])
    assert small.operations == exact.operations
    assert {product.kind for product in small.products} == {product.kind for product in exact.products}
    in_integers = sum(product.operations for product in small.products if product.type == "i8")
    # int8 leaves attention's own products, and the first and last layers; int4 is of weights alone.
    assert 0.5 < in_integers / exact.operations < 1 if scheme == "int8" else in_integers == 0
    assert small.weights_bytes < exact.weights_bytes


@pytest.fixture(scope="module")
def quantized(workshop):
    from dataclasses import replace

    from aquatint.profiles.profile import Budget, read_profile

    def make(target, scheme):
        exact = read_profile("exact")
        profile = replace(exact, name=scheme, quantize={"default": scheme}, budget=Budget(5.0, 5.0))
        return workshop.bundle("tiny-sd", target, profile)

    return make
