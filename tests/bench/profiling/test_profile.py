"""Where the time of tiny bundles' pictures goes."""

import json
from collections import Counter

import pytest

from aquatint.bench.comparison_trial import Job
from aquatint.bench.profiling.profile import Profile, profile_bundle, profile_picture
from aquatint.runtime.bundle import open_bundle
from aquatint.runtime.errors import BadRequest
from aquatint.runtime.record import from_table, to_table
from aquatint.runtime.session import EngineOptions

from .conftest import STEPS, draw, profiled
from .test_blocks import expected_path


@pytest.fixture(scope="module")
def layers(workshop):
    """Of tiny-sd's UNet, by torch: the paths of its convolutions, and of its linear layers."""
    import torch
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(workshop.checkpoint("tiny-sd") / "unet")
    return {
        kind: Counter(expected_path(name) for name, module in unet.named_modules() if isinstance(module, cls))
        for kind, cls in (("convolution", torch.nn.Conv2d), ("matmul", torch.nn.Linear))
    }


def test_operators_take_no_longer_than_their_components_calls(measured):
    assert set(measured.measured) == {"text_encoder", "unet", "vae_decoder"}
    for component, seconds in measured.measured.items():
        inside = sum(operator.seconds for operator in measured.operators if operator.component == component)
        # OpenVINO may run two small nodes side by side; nothing else lets a sum pass the clock.
        assert 0.1 * seconds < inside < 1.1 * seconds, component


def test_operators_count_the_calls_of_one_picture(measured):
    # Most run once a call; ONNX Runtime may call a node as another.
    counts = Counter(operator.calls for operator in measured.operators if operator.component == "unet")
    assert counts.most_common(1)[0][0] == STEPS


def test_every_convolution_has_the_block_that_torch_says(measured, layers):
    found = Counter(
        operator.block
        for operator in measured.operators
        if operator.component == "unet" and operator.kind == "convolution"
    )
    assert found == layers["convolution"]


def test_every_linear_layer_has_the_block_that_torch_says(measured, layers):
    found = Counter(
        operator.block for operator in measured.operators if operator.component == "unet" and operator.kind == "matmul"
    )
    # What OpenVINO takes apart of a small attention are products too, in the same blocks.
    extra = {block: count for block, count in (found - layers["matmul"]).items() if block[-1] not in ("attn1", "attn2")}
    assert not extra
    assert not layers["matmul"] - found


def test_attention_runs_in_its_blocks(measured):
    inside = [
        operator.block[-1]
        for operator in measured.operators
        if operator.component == "unet" and operator.kind in ("attention", "softmax")
    ]
    assert set(inside) == {"attn1", "attn2"}
    assert inside.count("attn1") == inside.count("attn2")


def test_eight_bit_weights_keep_the_names_of_their_layers(compared):
    found = {operator.block for operator in profiled(compared[1]).operators if operator.component == "unet"}
    named = {block[-2:] for block in found if block[-1:] == ("to_q",)}
    assert named == {("attn1", "to_q"), ("attn2", "to_q")}


def test_a_job_is_profiled_in_one_call(workshop):
    job = Job(str(workshop.bundle("tiny-sd", "ort:cpu")), ("a boat",), 1, STEPS, 7.5, None)
    found = profile_picture(job, threads=1)
    assert set(found.measured) == {"text_encoder", "unet", "vae_decoder"}
    assert found.seconds > 0


def test_a_profile_goes_through_json(measured):
    assert from_table(Profile, json.loads(json.dumps(to_table(measured))), "profile", ValueError) == measured


def test_a_bundle_that_was_opened_without_is_refused(workshop):
    bundle = open_bundle(workshop.bundle("tiny-sd", "ort:cpu"))
    with pytest.raises(BadRequest, match=r"EngineOptions\(profile=True, residency=\"all\"\).*profile=False"):
        profile_bundle(bundle, draw)
    bundle = open_bundle(bundle.folder, options=EngineOptions(profile=True, residency="one"))
    with pytest.raises(BadRequest, match="residency='one'"):
        profile_bundle(bundle, draw)
