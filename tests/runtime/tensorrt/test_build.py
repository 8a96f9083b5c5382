"""From ONNX to a plan: what TensorRT is asked for, what it refuses, and that it can be stopped."""

import threading
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from aquatint.runtime.errors import BadProfile, SessionFailed
from aquatint.runtime.manifest import Component, TensorSpec
from aquatint.runtime.session import BuildStep
from aquatint.runtime.shapes import ShapeRange, Shapes
from aquatint.runtime.tensorrt.build import build_plan
from aquatint.runtime.tensorrt.options import BuildOptions
from aquatint.runtime.tensorrt.package import package
from aquatint.tests.stand_ins.machine import Card

SQUARE = Shapes(((64, 64),))
LINE = Component(
    "unet",
    "unet/model.onnx",
    "fp32",
    (TensorSpec("sample", "float32", ("batch", 4)),),
    (TensorSpec("out", "float32", ("batch", 4)),),
)


def steps_of(plans, name="unet", **told):
    part, options = plans.part(name), told.pop("options", BuildOptions())
    return build_plan(package(), plans.graph(name), part, plans.manifest.shapes, options, False, **told)


def write_line(path, nodes, stored=(), dims=("batch", 4)):
    """A graph from sample to out."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in ("sample", "out")]
    weights = [numpy_helper.from_array(array, name) for name, array in dict(stored).items()]
    graph = helper.make_graph(nodes, "line", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def quantized(zero):
    nodes = [
        helper.make_node("QuantizeLinear", ["sample", "scale", "zero"], ["whole"]),
        helper.make_node("DequantizeLinear", ["whole", "scale", "zero"], ["out"]),
    ]
    return nodes, {"scale": np.float32(0.1), "zero": zero}


def refused(path, shapes=SQUARE, part=LINE):
    with pytest.raises(SessionFailed) as caught:
        list(build_plan(package(), path, part, shapes, BuildOptions(), False))
    return str(caught.value)


def test_a_build_tells_its_steps(plans):
    told = list(steps_of(plans))
    assert all(isinstance(step, BuildStep) for step in told)
    assert told[0] == BuildStep("Building Engine from Network", 0, 3)
    assert told[-1] == BuildStep("Building Engine from Network", 3, 3)
    assert str(told[-1]) == "Building Engine from Network 3/3"
    assert all(0 <= step.done <= step.total for step in told)


def test_a_build_has_a_thread_of_its_own_which_ends(plans, trt):
    list(steps_of(plans))
    assert trt.builds[0].thread == "tensorrt-build"
    assert "tensorrt-build" not in {thread.name for thread in threading.enumerate()}


def test_float32_is_not_rounded_to_tf32(plans, trt):
    plans.build("unet")
    plans.build("unet", part=replace(plans.part("unet"), precision="fp16"))
    assert ["TF32" in build.flags for build in trt.builds] == [False, True]


def test_by_default_nothing_else_is_asked_for(plans, trt):
    plans.build("unet")
    assert trt.builds[0].flags == set()
    assert (trt.builds[0].workspace, trt.builds[0].optimization_level, trt.builds[0].hardware) == (None, 3, "NONE")


@pytest.mark.parametrize(
    "options, flags",
    [
        (BuildOptions(version_compatible=True), {"VERSION_COMPATIBLE", "EXCLUDE_LEAN_RUNTIME"}),
        (BuildOptions(strip_weights=True), {"STRIP_PLAN", "REFIT_IDENTICAL"}),
        (BuildOptions(weight_streaming=True), {"WEIGHT_STREAMING"}),
    ],
)
def test_options_are_tensorrts_flags(plans, trt, options, flags):
    list(steps_of(plans, options=options))
    assert trt.builds[0].flags == flags


def test_workspace_and_optimization_level_are_handed_on(plans, trt):
    list(steps_of(plans, options=BuildOptions(workspace_mb=512, optimization_level=5)))
    assert (trt.builds[0].workspace, trt.builds[0].optimization_level) == (512 << 20, 5)


def test_a_portable_plan_is_for_ampere_and_later(plans, trt):
    plans.build("unet", portable=True)
    assert trt.builds[0].hardware == "AMPERE_PLUS"


def test_one_capability_is_asked_for_where_the_release_has_it(plans, trt):
    list(steps_of(plans, options=BuildOptions(same_capability=True)))
    assert trt.builds[0].hardware == "SAME_COMPUTE_CAPABILITY"


def test_one_capability_is_refused_where_the_release_lacks_it(tmp_path, trt):
    trt.install("10.3.0.26")
    path = write_line(tmp_path / "line.onnx", [helper.make_node("Relu", ["sample"], ["out"])])
    said = r"^tensorrt 10\.3\.0\.26 has no same_capability; it needs a later release$"
    with pytest.raises(BadProfile, match=said):
        list(build_plan(package(), path, LINE, SQUARE, BuildOptions(same_capability=True), False))


def test_a_static_size_has_one_profile_of_rows_and_tokens(plans, trt):
    plans.build("unet")
    (profile,) = trt.builds[0].profiles
    assert profile["sample"] == ((1, 4, 8, 8), (2, 4, 8, 8), (2, 4, 8, 8))
    assert profile["encoder_hidden_states"] == ((1, 77, 32), (2, 77, 32), (2, 308, 32))
    assert "timestep" not in profile  # of one shape


def test_a_list_of_sizes_has_a_profile_for_each(plans, trt, sizes, tmp_path):
    part = Component(
        "unet", "unet/model.onnx", "fp32", (TensorSpec("sample", "float32", ("batch", 4, "height/8", "width/8")),),
        (TensorSpec("out", "float32", ("batch", 4, "height/8", "width/8")),), rows=(2, 1),
    )  # fmt: skip
    path = write_line(tmp_path / "line.onnx", [helper.make_node("Relu", ["sample"], ["out"])], dims=("b", 4, "h", "w"))
    list(build_plan(package(), path, part, sizes, BuildOptions(), False))
    widths = [[side[3] for side in profile["sample"]] for profile in trt.builds[0].profiles]
    assert widths == [[8, 8, 8], [12, 12, 12]]


def test_ranges_of_sizes_have_one_profile(plans, trt, tmp_path):
    path = write_line(tmp_path / "line.onnx", [helper.make_node("Relu", ["sample"], ["out"])], dims=("b", 4, "h", "w"))
    part = Component(
        "unet", "unet/model.onnx", "fp32", (TensorSpec("sample", "float32", ("batch", 4, "height/8", "width/8")),),
        (TensorSpec("out", "float32", ("batch", 4, "height/8", "width/8")),), rows=(2, 1),
    )  # fmt: skip
    shapes = Shapes(height=ShapeRange(64, 128, 256), width=ShapeRange(64, 192, 256))
    list(build_plan(package(), path, part, shapes, BuildOptions(), False))
    (profile,) = trt.builds[0].profiles
    assert profile["sample"] == ((1, 4, 8, 8), (2, 4, 16, 24), (2, 4, 32, 32))


def test_the_vae_has_one_profile_more_for_its_tiles(plans, trt):
    plans.build("vae_decoder")
    whole, tiles = trt.builds[0].profiles
    assert whole["latent_sample"] == ((1, 4, 8, 8), (1, 4, 8, 8), (1, 4, 8, 8))
    assert tiles["latent_sample"] == ((1, 4, 1, 1), (1, 4, 8, 8), (1, 4, 8, 8))


def test_a_plan_is_made_of_the_same_graph_twice(plans):
    first, _ = plans.build("unet")
    content = first.read_bytes()
    second, _ = plans.build("unet")
    assert second.read_bytes() == content


def test_a_graph_that_can_not_be_read_says_what_the_parser_says(tmp_path, trt):
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    assert refused(tmp_path / "broken.onnx").startswith("unet: TensorRT 10.14.1.48 can't read broken.onnx: Failed to ")


def test_weights_that_are_missing_are_said_to_be(plans, tmp_path):
    (tmp_path / "model.onnx").write_bytes(plans.graph("unet").read_bytes())
    assert "can't read model.onnx: Failed to parse" in refused(tmp_path / "model.onnx", part=plans.part("unet"))


def test_attention_needs_a_release_that_reads_it(plans, trt):
    trt.install("10.13.3.9")
    said = refused(plans.graph("unet"), part=plans.part("unet"))
    assert said.startswith("unet: TensorRT 10.13.3.9 can't read model.onnx: In node ")
    assert "operator Attention" in said


@pytest.mark.parametrize("zero, said", [(np.uint8(0), "UINT8"), (np.int8(3), "symmetric")])
def test_quantization_is_symmetric_and_signed(tmp_path, trt, zero, said):
    assert said in refused(write_line(tmp_path / "line.onnx", *quantized(zero)))


def test_symmetric_quantization_is_taken(tmp_path, trt):
    path = write_line(tmp_path / "line.onnx", *quantized(np.int8(0)))
    list(build_plan(package(), path, LINE, SQUARE, BuildOptions(), False))
    assert len(trt.builds) == 1


def test_a_build_that_fails_says_why(plans, trt):
    trt.refuses_to_build = "Error Code 10: Internal Error (Could not find any implementation for node {...})"
    with pytest.raises(SessionFailed, match=r"^unet: TensorRT 10\.14\.1\.48 can't build it: Error Code 10: .*find any"):
        list(steps_of(plans))


def test_a_graph_whose_sizes_differ_from_the_component_is_refused(tmp_path, trt):
    path = write_line(tmp_path / "line.onnx", [helper.make_node("Relu", ["sample"], ["out"])], dims=("batch", 5))
    assert "inconsistent" in refused(path)


def test_a_portable_plan_needs_ampere(plans, trt, gpu):
    gpu.cards = [Card("T4", 7, 5)]
    with pytest.raises(SessionFailed, match=r"can't build it: AMPERE_PLUS needs"):
        plans.build("unet", portable=True)


def test_a_later_release_that_is_always_typed_builds_too(plans, trt):
    trt.install("11.1.0.5")
    plans.agree(plans.open("unet"), "unet")


def test_timings_are_kept_and_make_the_next_build_quicker(plans, trt, tmp_path):
    timings = tmp_path / "new" / "sm89.timings"
    for _ in range(2):
        list(steps_of(plans, timings=timings))
    first, second = (build.timed for build in trt.builds)
    assert first > 0
    assert second == 0
    list(steps_of(plans, "vae_decoder", timings=timings))
    list(steps_of(plans, timings=timings))
    assert trt.builds[-1].timed == 0  # they are added to, not written over


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_timings_that_can_not_be_read_are_made_anew(plans, trt, tmp_path, content):
    timings = tmp_path / "timings"
    timings.write_bytes(content)
    list(steps_of(plans, timings=timings))
    assert trt.builds[-1].timed > 0
    assert len(timings.read_bytes()) > len(content)


def test_timings_of_another_gpu_are_left_alone(plans, trt, gpu, tmp_path):
    timings = tmp_path / "timings"
    list(steps_of(plans, timings=timings))
    gpu.cards = [Card("RTX 3090", 8, 6)]
    list(steps_of(plans, timings=timings))
    assert trt.builds[-1].timed > 0


def test_a_build_that_is_given_up_stops_and_leaves_no_thread(plans, trt, tmp_path):
    trt.step_s = 0.01
    steps = steps_of(plans, timings=tmp_path / "timings")
    next(steps)
    steps.close()
    assert trt.builds[0].cancelled
    assert "tensorrt-build" not in {thread.name for thread in threading.enumerate()}
    assert not (tmp_path / "timings").exists()


def test_a_build_that_is_interrupted_stops_and_leaves_no_thread(plans, trt):
    trt.step_s = 0.01

    def consume():
        for step in steps_of(plans):
            if step.done == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert "tensorrt-build" not in {thread.name for thread in threading.enumerate()}
    assert trt.builds[0].cancelled


def test_an_error_in_the_build_reaches_the_one_who_asked(plans, trt, monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(trt.module.Builder, "build_serialized_network", fail)
    with pytest.raises(MemoryError, match="no room"):
        list(steps_of(plans))


def test_a_refittable_plan_has_one_profile_and_all_sizes(plans, trt, sizes):
    # NVIDIA, addOptimizationProfile: more than one are not supported for refittable engines.
    session = plans.open("vae_decoder", BuildOptions(strip_weights=True), shapes=sizes)
    for height, width in ((64, 64), (64, 96), (8, 24)):
        plans.agree(session, "vae_decoder", height=height, width=width)
