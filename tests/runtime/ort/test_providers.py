"""What the CUDA provider is told."""

from dataclasses import replace

import pytest

from aquatint.runtime.manifest import Component
from aquatint.runtime.ort.providers import cuda_options, recordable
from aquatint.runtime.session import EngineOptions

UNET = Component("unet", "unet/model.onnx", "fp16", (), ())


def told(precision="fp16", recorded=False, **options):
    return cuda_options(replace(UNET, precision=precision), EngineOptions(**options), 4096, recorded)


def test_all_work_goes_to_the_memorys_stream():
    assert told()["user_compute_stream"] == "4096"
    assert told()["device_id"] == "0"


@pytest.mark.parametrize("precision, tf32", [("fp32", "0"), ("fp16", "1"), ("bf16", "1"), ("fp16-weights", "0")])
def test_float32_is_not_rounded_to_tf32(precision, tf32):
    assert told(precision)["use_tf32"] == tf32


def test_by_default_memory_grows_by_what_is_asked_for_and_has_no_limit():
    assert told()["arena_extend_strategy"] == "kSameAsRequested"
    assert "gpu_mem_limit" not in told()


def test_memory_is_limited_in_bytes():
    assert told(device_memory_mb=300)["gpu_mem_limit"] == str(300 * 1024 * 1024)
    assert told(arena="powers-of-two")["arena_extend_strategy"] == "kNextPowerOfTwo"


@pytest.mark.parametrize("search", ["exhaustive", "heuristic", "default"])
def test_convolutions_are_chosen_as_asked(search):
    assert told(conv_search=search)["cudnn_conv_algo_search"] == search.upper()


@pytest.mark.parametrize("layout, nhwc", [("nchw", "0"), ("nhwc", "1")])
def test_convolutions_have_the_layout_that_is_asked_for(layout, nhwc):
    assert told(conv_layout=layout)["prefer_nhwc"] == nhwc


def test_only_what_is_recorded_asks_for_graphs():
    assert told(recorded=True)["enable_cuda_graph"] == "1"
    assert "enable_cuda_graph" not in told()


def test_the_denoiser_is_recorded_unless_it_is_not_wanted():
    assert recordable(UNET, EngineOptions())
    assert not recordable(UNET, EngineOptions(graphs=False))
    assert not recordable(replace(UNET, name="vae_decoder"), EngineOptions())


def test_every_option_is_text():
    options = told(recorded=True, device_memory_mb=1)
    assert all(isinstance(word, str) for pair in options.items() for word in pair)
