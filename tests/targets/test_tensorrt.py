"""What is built for TensorRT, over stand-ins for it and for its GPU: no GPU runs here."""

from dataclasses import replace

import pytest

from aquatint.compile.cache import Cache
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.plan import make_plan
from aquatint.profiles.profile import QuantizeRule, read_profile
from aquatint.runtime.bundle import open_bundle, pipeline_of
from aquatint.runtime.errors import BadProfile, BundleCorrupt, MissingPackage, TargetMismatch
from aquatint.runtime.goldens import print_goldens
from aquatint.runtime.load import load
from aquatint.runtime.manifest import read_manifest, write_manifest
from aquatint.runtime.shapes import Shapes
from aquatint.runtime.target import Target
from aquatint.runtime.tensorrt.options import BuildOptions
from aquatint.targets import all_targets, backend, tensorrt
from aquatint.targets.order import Order
from aquatint.tests.stand_ins.machine import Card

ir = pytest.importorskip("onnx_ir")

SIZES = Shapes(((64, 64),))
HELP = "with --build-on-device the bundle carries ONNX"


def order(device="sm89", **changes):
    return Order(Target("tensorrt", device), SIZES, **changes)


@pytest.fixture(scope="module")
def plan_of(workshop):
    """(target's word, what is changed of the profile, options) -> the plan for a tiny checkpoint."""
    checkpoint = find_checkpoint(
        str(workshop.checkpoint("tiny-sd")), revision=None, variant=None, config=None, work=workshop.cache
    )

    def make(word, changes=None, **options):
        return make_plan(checkpoint, word, replace(read_profile("exact"), **(changes or {})), **options)

    return make


@pytest.fixture
def compiled(plan_of, workshop, tmp_path):
    """The same, compiled; its bundle's folder."""
    from aquatint.compile.driver import compile_bundle

    def run(word, changes=None, watch=print, **options):
        plan = plan_of(word, changes, output=tmp_path / word.replace(":", "-"), **options)
        stages = compile_bundle(plan, Cache(workshop.cache), watch)
        while True:
            try:
                next(stages)
            except StopIteration as end:
                return end.value

    return run


def become(gpu, major, minor):
    gpu.cards[:] = [Card("another GPU", major, minor)]


def operators(folder, name):
    return {node.op_type for node in ir.load(folder / name / "model.onnx").graph}


def test_a_plan_is_compiled_and_verified_on_the_gpu_that_it_is_for(trt, compiled):
    steps = []
    folder = compiled("tensorrt:sm89", watch=steps.append)
    manifest = read_manifest(folder)
    assert manifest.verification.target == "tensorrt:sm89"
    assert manifest.verification.goldens[0].psnr_db > 50
    for part in manifest.components:
        assert part.artifact == f"{part.name}/model.plan"
        assert part.bound.device == "sm89"
        assert part.bound.versions == {"tensorrt": "10.14.1.48"}
        assert part.bound.options["optimization_level"] == BuildOptions().optimization_level
        assert min(part.memory["weights_bytes"], part.memory["scratch_bytes"]) > 0
    assert not list(folder.rglob("*.onnx*"))  # the weights are in the plans
    assert not list(folder.rglob("built.json"))
    assert steps  # of the builds


def test_a_compiled_plan_opens_again_and_prints_its_golden_images(trt, compiled):
    opened = open_bundle(compiled("tensorrt:sm89"), hashes=True)
    assert print_goldens(opened)[0].psnr_db > 50
    opened.close()


def test_a_plan_of_another_gpu_is_refused_when_the_bundle_is_opened(trt, gpu, compiled):
    folder = compiled("tensorrt:sm89")
    become(gpu, 8, 6)
    with pytest.raises(TargetMismatch, match=r"tensorrt:sm89 is not on this machine: the GPU here is .* \(sm86\)"):
        open_bundle(folder)


def test_a_plan_of_another_release_is_refused_before_it_is_read(trt, compiled):
    folder = compiled("tensorrt:sm89")
    trt.install("10.15.1.29")
    with pytest.raises(TargetMismatch, match=r"needs tensorrt 10\.14\.1\.48, this machine has 10\.15\.1\.29; compile"):
        open_bundle(folder)


def test_a_portable_plan_runs_on_another_gpu(trt, gpu, compiled):
    folder = compiled("tensorrt:ampere")
    become(gpu, 8, 6)
    opened = open_bundle(folder)
    assert print_goldens(opened)[0].psnr_db > 50
    opened.close()
    become(gpu, 7, 5)
    with pytest.raises(TargetMismatch, match="tensorrt:ampere is not on this machine"):
        open_bundle(folder)


def test_a_stripped_plan_has_its_weights_in_the_onnx_beside_it(trt, compiled):
    folder = compiled("tensorrt:sm89", {"tensorrt": BuildOptions(strip_weights=True)})
    assert (folder / "unet" / "model.onnx.data").is_file()
    opened = open_bundle(folder)
    assert print_goldens(opened)[0].psnr_db > 50
    opened.close()


def test_what_the_device_builds_is_carried_as_onnx_that_every_parser_reads(compiled):
    """There is no TensorRT here, nor a GPU: the bundle is verified by ONNX Runtime."""
    folder = compiled("tensorrt:any", {"precision": {"default": "fp16"}}, on_device=True)
    manifest = read_manifest(folder)
    assert manifest.verification.target == "ort:cpu"
    assert manifest.build == BuildOptions()
    assert manifest.requires == {"tensorrt": "10.3"}
    assert all(part.bound is None and part.artifact.endswith(".onnx") for part in manifest.components)
    found = set().union(*(operators(folder, part.name) for part in manifest.components))
    assert not found & {"Attention", "GroupNormalization"}
    typed = ir.load(folder / "unet" / "model.onnx").graph
    assert {value.dtype.name for value in (*typed.inputs, *typed.outputs)} == {"FLOAT"}
    assert any(node.outputs[0].dtype == ir.DataType.FLOAT16 for node in typed if node.op_type == "Conv")


def test_a_device_builds_its_engines_at_the_first_load_and_keeps_them(compiled, request, tmp_path):
    folder = compiled("tensorrt:any", on_device=True)
    trt = request.getfixturevalue("trt")  # the device has what the workshop had not
    trt.install("10.3.0.26")
    pipe = load(folder)
    made = pipe("a boat", seed=1, num_inference_steps=2, output_type="np").images
    pipe.close()
    plans = sorted((tmp_path / f"{folder.name}.engines").glob("*.plan"))
    assert [plan.name.split("-")[0] for plan in plans] == ["text_encoder", "unet", "vae_decoder", "vae_encoder"]
    before = [plan.stat().st_mtime_ns for plan in plans]
    again = load(folder)
    assert [plan.stat().st_mtime_ns for plan in plans] == before
    assert (again("a boat", seed=1, num_inference_steps=2, output_type="np").images == made).all()
    again.close()
    reference = pipeline_of(open_bundle(request.getfixturevalue("workshop").bundle("tiny-sd", "ort:cpu")))
    same = reference("a boat", seed=1, num_inference_steps=2, output_type="np").images
    assert abs(made - same).max() < 2 / 255


@pytest.mark.parametrize("release, kept", [("10.13.3.9", False), ("10.14.1.48", True), ("11.1.0.106", True)])
def test_attention_is_taken_apart_for_a_parser_that_does_not_know_it(trt, workshop, tmp_path, release, kept):
    trt.install(release)
    bundle = workshop.bundle("tiny-sd", "ort:cpu")
    part = read_manifest(bundle).component("unet")
    graph = bundle / part.artifact
    assert "Attention" in operators(bundle, "unet")
    wishes = order(tensorrt=BuildOptions(strip_weights=True))  # which leaves the ONNX beside the plan
    assert tensorrt.build(graph, part, tmp_path, wishes) == tmp_path / "model.plan"
    found = [node for node in ir.load(tmp_path / "model.onnx").graph if node.op_type == "Attention"]
    assert bool(found) == kept
    assert all(node.attributes["TRT_decomposable"].as_int() == 1 for node in found)


def test_quantized_layers_get_no_zero_points(plan_of):
    plan = plan_of("tensorrt:any", {"quantize": {"default": "int8"}}, on_device=True)
    settings = [found.settings for found in plan.assignments["unet"] if found.scheme == "int8"]
    assert settings
    assert all(found["symmetric"] for found in settings)


def test_a_rule_that_asks_for_zero_points_is_refused(plan_of):
    rule = QuantizeRule("int8", settings={"symmetric": False})
    with pytest.raises(BadProfile, match="asks for symmetric = False; the target takes True only"):
        plan_of("tensorrt:any", {"rules": (rule,)}, on_device=True)


def test_nf4_is_refused_with_the_schemes_that_run(plan_of):
    words = "does not run nf4, which .* asks for; it runs int8-weights, int8, int4, and nf4 runs on openvino:cpu"
    with pytest.raises(BadProfile, match=words):
        plan_of("tensorrt:any", {"quantize": {"default": "nf4"}}, on_device=True)


@pytest.mark.parametrize("word", [word for word in all_targets() if word.startswith("tensorrt:")])
def test_fp8_is_for_gpus_that_have_it(word):
    device = word.partition(":")[2]
    has = device.startswith("sm") and int(device[2:]) >= 89
    assert ("fp8" in backend(Target.parse(word)).schemes(device)) == has


@pytest.mark.parametrize("device, able", [("any", False), ("sm75", False), ("ampere", True), ("sm80", True)])
def test_bf16_is_refused_where_a_gpu_may_lack_it(device, able):
    if able:
        tensorrt.check(device, "unet", "bf16", True)
    else:
        with pytest.raises(BadProfile, match=f"tensorrt:{device} has no bf16, which the profile asks of unet"):
            tensorrt.check(device, "unet", "bf16", True)


def test_without_tensorrt_a_plan_is_refused_before_anything_slow(plan_of):
    with pytest.raises(MissingPackage, match=f"tensorrt:sm89 can't be built here: this needs tensorrt; .*; {HELP}"):
        plan_of("tensorrt:sm89")


def test_a_plan_for_another_gpu_than_the_one_here_is_refused(trt, plan_of):
    with pytest.raises(
        TargetMismatch, match=rf"tensorrt:sm90 can't be built here, where the GPU is .* \(sm89\); {HELP}"
    ):
        plan_of("tensorrt:sm90")


def test_a_plan_for_any_gpu_is_refused(trt, plan_of):
    with pytest.raises(TargetMismatch, match=f"a plan is of one GPU, and tensorrt:any is all; {HELP}"):
        plan_of("tensorrt:any")


def test_what_decides_a_plan_decides_its_place_in_the_cache(trt, gpu):
    found = [tensorrt.identity(order())]
    found.append(tensorrt.identity(order(tensorrt=BuildOptions(optimization_level=5))))
    found.append(tensorrt.identity(order("ampere")))
    found.append(tensorrt.identity(replace(order(), shapes=Shapes(((64, 64), (128, 64))))))
    trt.install("10.3.0.26")
    found.append(tensorrt.identity(order()))
    become(gpu, 9, 0)
    found.append(tensorrt.identity(order()))
    assert len({str(each) for each in found}) == len(found)


def test_options_that_contradict_the_order_are_refused():
    with pytest.raises(BadProfile, match="same_capability narrows what tensorrt:ampere widens"):
        tensorrt.ready(order("ampere", tensorrt=BuildOptions(same_capability=True)))
    with pytest.raises(BadProfile, match="version_compatible is for plans that travel"):
        tensorrt.ready(order("any", on_device=True, tensorrt=BuildOptions(version_compatible=True)))


@pytest.mark.parametrize("word, on_device", [("tensorrt:sm90", True), ("ort:cuda", False)])
def test_bf16_that_no_processor_runs_is_refused_before_anything_slow(plan_of, word, on_device):
    bf16 = {"precision": {"default": "bf16"}}
    with pytest.raises(BadProfile, match=f"text_encoder in bf16 for {word} can be verified on a GPU only"):
        plan_of(word, bf16, on_device=on_device)


def test_a_version_compatible_plan_needs_the_lean_runtime_to_be_verified(trt, plan_of):
    compatible = {"tensorrt": BuildOptions(version_compatible=True)}
    plan_of("tensorrt:sm89", compatible)
    trt.install("10.14.1.48", lean="10.15.1.29")
    with pytest.raises(MissingPackage, match=r"needs tensorrt_lean 10\.14\.1\.48, here is 10\.15\.1\.29"):
        plan_of("tensorrt:sm89", compatible)


def test_a_stripped_plan_without_its_weights_is_refused(trt, compiled):
    folder = compiled("tensorrt:sm89", {"tensorrt": BuildOptions(strip_weights=True)})
    manifest = read_manifest(folder)
    files = {name: file for name, file in manifest.files.items() if name != "unet/model.onnx"}
    write_manifest(replace(manifest, files=files), folder)
    with pytest.raises(BundleCorrupt, match=r"lists no unet/model\.onnx, whose weights unet/model\.plan needs"):
        open_bundle(folder)
