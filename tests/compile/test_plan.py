"""What a plan holds, and what it refuses before anything slow."""

import json
from dataclasses import replace

import numpy as np
import pytest

from aquatint.compile.checkpoint import GENERAL_PROMPTS, find_checkpoint
from aquatint.compile.plan import make_plan
from aquatint.profiles.profile import CallDefaults, Goldens, QuantizeRule, ShapePlan, read_profile
from aquatint.runtime import session
from aquatint.runtime.errors import BadModel, BadProfile, BadRequest, OutputFailed, TargetMismatch, UnknownName
from aquatint.runtime.manifest import Defaults
from aquatint.runtime.shapes import ShapeRange
from aquatint.runtime.target import Target

safetensors = pytest.importorskip("safetensors.numpy")

INDEX = {"_class_name": "StableDiffusionPipeline"}
SCHEDULER = {
    "_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
    "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1,
}  # fmt: skip
CONFIGS = {
    "unet": {"sample_size": 16, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 32,
             "block_out_channels": [16, 32]},
    "vae": {"latent_channels": 4, "scaling_factor": 0.2, "block_out_channels": [8, 16, 16, 16]},
    "text_encoder": {"hidden_size": 32},
}  # fmt: skip
WEIGHTS = {
    "unet": {"conv_in.weight": (16, 4, 3, 3), "mid_block.attentions.0.to_q.weight": (16, 320), "conv_in.bias": (16,)},
    "vae": {"decoder.conv_in.weight": (16, 4, 3, 3), "encoder.conv_in.weight": (8, 4, 3, 3)},
    "text_encoder": {"text_model.encoder.layers.0.mlp.fc1.weight": (64, 32)},
}
GRAPHS = {
    "text_encoder": (["input_ids"], "last_hidden_state"),
    "unet": (["sample", "timestep", "encoder_hidden_states"], "out_sample"),
    "vae_decoder": (["latent_sample"], "sample"),
    "vae_encoder": (["sample"], "latent_parameters"),
}


@pytest.fixture
def folder(tmp_path):
    """A checkpoint of few float16 weights, with the configurations of a small Stable Diffusion."""
    made = tmp_path / "models" / "tiny"
    for part, config in CONFIGS.items():
        (made / part).mkdir(parents=True)
        (made / part / "config.json").write_text(json.dumps(config))
        arrays = {name: np.zeros(shape, np.float16) for name, shape in WEIGHTS[part].items()}
        safetensors.save_file(arrays, made / part / "model.safetensors")
    for name in ("tokenizer/vocab.json", "tokenizer/merges.txt"):
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).touch()
    (made / "scheduler").mkdir()
    (made / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCHEDULER))
    (made / "model_index.json").write_text(json.dumps(INDEX))
    return made


@pytest.fixture
def engines(monkeypatch):
    """A machine with ONNX Runtime and OpenVINO on a CPU."""
    monkeypatch.setattr(session, "devices", lambda target: {"cpu": "CPU"})


@pytest.fixture
def plan(folder, tmp_path, engines):
    """Makes a plan; changes: of the profile `exact`."""

    def make(target="ort:cpu", changes=None, **options):
        checkpoint = find_checkpoint(str(folder), revision=None, variant=None, config=None, work=tmp_path)
        options.setdefault("output", tmp_path / "bundle")
        return make_plan(checkpoint, target, replace(read_profile("exact"), **(changes or {})), **options)

    return make


def configure(folder, part, **changes):
    path = folder / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_plan_says_what_will_be_made_from_what(plan, folder):
    made = plan()
    assert [part.name for part in made.components] == ["text_encoder", "unet", "vae_decoder", "vae_encoder"]
    assert (str(made.target), made.reason, str(made.verify_on)) == ("ort:cpu", "asked for", "ort:cpu")
    assert made.shapes.sizes == ((128, 128),)  # 16 latents of 8 pixels
    assert made.defaults == Defaults(num_inference_steps=50, guidance_scale=7.5)
    assert [golden.prompt for golden in made.goldens] == [GENERAL_PROMPTS[0]]
    sizes = {part.name: made.size_bytes(part) for part in made.components}
    # 16 bits as in the file, even in exact; what has less than 256 elements is in 32.
    unet = 2 * 16 * 36 + 2 * 16 * 320 + 4 * 16
    assert sizes == {"text_encoder": 2 * 64 * 32, "unet": unet, "vae_decoder": 2 * 16 * 36, "vae_encoder": 2 * 8 * 36}


def test_making_a_plan_reads_no_weights_and_writes_nothing(plan, folder, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    plan()
    assert sorted(tmp_path.rglob("*")) == before


def test_guidance_decides_the_rows_of_the_denoiser_alone(plan):
    def rows(**shapes):
        return {part.name: part.rows for part in plan(changes={"shapes": ShapePlan(**shapes)}).components}

    assert rows(batch=3) == {"text_encoder": (1,), "unet": (6, 3), "vae_decoder": (1,), "vae_encoder": (1,)}
    assert rows(batch=3, guidance="split")["unet"] == (3,)


def test_a_model_with_a_guidance_embedding_needs_no_second_half(plan, folder):
    configure(folder, "unet", time_cond_proj_dim=8)
    unet = next(part for part in plan().components if part.name == "unet")
    assert unet.rows == (1,)
    assert ("timestep_cond", ("batch", 8)) in [(spec.name, spec.dims) for spec in unet.inputs]


@pytest.mark.parametrize("target, fixed", [("ort:cpu", False), ("openvino:npu", False), ("ort:cpu", True)])
def test_the_denoiser_takes_long_prompts_on_every_target(plan, target, fixed):
    shapes = ShapePlan(prompt_chunks=1) if fixed else ShapePlan()
    made = plan(target, changes={"shapes": shapes, "precision": {"default": "fp16"}})
    unet = next(part for part in made.components if part.name == "unet")
    dims = next(spec.dims for spec in unet.inputs if spec.name == "encoder_hidden_states")
    assert dims == ("batch", "tokens", 32)
    assert made.shapes.extents(unet.rows)["tokens"].max == (77 if fixed else 308)


def write_graph(path, inputs, output):
    """A graph of the right names that computes nothing."""
    ir = pytest.importorskip("onnx_ir")
    kind = ir.TensorType(ir.DataType.FLOAT)
    values = [ir.Value(name=name, type=kind, shape=ir.Shape(["n"])) for name in inputs]
    node = ir.node("Identity", [values[0]])
    node.outputs[0].name, node.outputs[0].type = output, kind
    ir.save(ir.Model(ir.Graph(values, node.outputs, nodes=[node], opset_imports={"": 18}), ir_version=8), path)


def test_a_folder_of_graphs_has_no_choice_of_layers(plan, folder):
    said = plan()
    assert [spec.name for spec in said.components[0].inputs] == ["input_ids", "clip_skip"]
    assert said.anatomy.settings["largest_clip_skip"] == 12  # Transformers' default number of layers
    for part in ("text_encoder", "unet", "vae_decoder", "vae_encoder"):
        (folder / part).mkdir(exist_ok=True)
        write_graph(folder / part / "model.onnx", *GRAPHS[part])
    (folder / "vae_decoder" / "config.json").write_text(json.dumps(CONFIGS["vae"]))
    taken = plan()
    assert [spec.name for spec in taken.components[0].inputs] == ["input_ids"]
    assert taken.anatomy.settings["largest_clip_skip"] is None
    assert taken.components[1:] == said.components[1:]


def quantized(*rules, **schemes):
    return {"quantize": schemes, "rules": rules}


def test_each_layers_scheme_is_known_with_what_it_takes(plan):
    made = plan(changes=quantized(QuantizeRule("none", layers="conv_in", component="unet"), default="int8-weights"))
    schemes = {name: [found.scheme for found in given] for name, given in made.assignments.items()}
    assert schemes == {
        "text_encoder": ["int8-weights"], "unet": ["none", "int8-weights"],
        "vae_decoder": ["int8-weights"], "vae_encoder": ["int8-weights"],
    }  # fmt: skip
    unet = made.components[1]
    assert made.size_bytes(unet) == 2 * 16 * 36 + (16 * 320 + 4 * 16) + 4 * 16
    assert made.unmet == {}


def test_what_is_not_as_asked_is_counted_by_its_reason(plan):
    rules = (QuantizeRule("int4", kind="linear", settings={"group_size": 128}),)
    assert plan(changes=quantized(*rules, default="int4")).unmet == {
        "groups of 32, as 128 does not divide 32 inputs": {"text_encoder": 1},
        "groups of 64, as 128 does not divide 320 inputs": {"unet": 1},
        "int4 is for linear layers only, so int8-weights": {"unet": 1, "vae_decoder": 1, "vae_encoder": 1},
    }


def test_a_component_that_no_rule_changes_is_none(plan):
    made = plan(changes=quantized(QuantizeRule("int8-weights", layers="mid_block.*")))
    assert {part.name: part.scheme for part in made.components} == {
        "text_encoder": "none", "unet": "mixed", "vae_decoder": "none", "vae_encoder": "none"
    }  # fmt: skip


@pytest.mark.parametrize(
    "rule, words",
    [
        (QuantizeRule("int4", layers="mid_blocks.*"), r"mid_blocks\.\* of \* -> int4 matches no layer; the nearest are "
         r"mid_block\.attentions\.0\.to_q \(linear\) and "),
        (QuantizeRule("int4", layers="conv_in", kind="linear", component="unet"), r"nearest are conv_in \(conv\)"),
        (QuantizeRule("int4", component="unett*"), r"no component; there are text_encoder, unet, vae_decoder, vae_enc"),
        (QuantizeRule("none", layers="decoder.*", component="unet"), "matches no layer"),
    ],
)  # fmt: skip
def test_a_rule_that_matches_nothing_is_refused_with_what_there_is(plan, rule, words):
    with pytest.raises(BadProfile, match=words):
        plan(changes=quantized(rule))


def test_a_rule_for_several_components_may_match_in_one(plan):
    assert plan(changes=quantized(QuantizeRule("int8-weights", layers="decoder.*"))).components[2].scheme == "mixed"


def test_a_scheme_that_the_target_does_not_run_is_refused_with_what_would_work(plan, monkeypatch):
    from aquatint.targets import backend

    runs = {"openvino": {"cpu": ("int4", "nf4"), "gpu": ("nf4",), "npu": ()}, "ort": {"cpu": ("int8-weights", "int4")}}
    for name, devices in runs.items():
        monkeypatch.setattr(backend(Target(name, "cpu")), "schemes", lambda device, runs=devices: runs.get(device, ()))
    monkeypatch.setattr(backend(Target("tensorrt", "any")), "schemes", lambda device: ())
    words = "nf4, which unet asks for; it runs int8-weights, int4, and nf4 runs on openvino:cpu, gpu"
    with pytest.raises(BadProfile, match=words):
        plan(changes=quantized(QuantizeRule("nf4", kind="linear", component="unet")))
    with pytest.raises(BadProfile, match="does not run int8-weights, which vae_decoder asks for"):
        plan("openvino:cpu", changes=quantized(vae_decoder="int4"))  # a convolution, which falls back
    plan("openvino:cpu", changes=quantized(text_encoder="int4"))  # where nothing does
    half = {"precision": {"default": "fp16"}}
    with pytest.raises(BadProfile, match=r"openvino:npu .* it runs none, and int4 runs on openvino:cpu; ort:cpu"):
        plan("openvino:npu", changes={**half, **quantized(text_encoder="int4")})
    runs["openvino"] |= {"cpu": (), "gpu": ()}
    with pytest.raises(BadProfile, match="it runs int8-weights, int4, and no target runs nf4 yet"):
        plan(changes=quantized(text_encoder="nf4"))


@pytest.mark.parametrize("steps, expected", [(1, 1), (2, 1), (3, 1), (4, 2)])
def test_a_golden_image_that_goes_on_from_a_picture_takes_a_step_at_least(plan, folder, steps, expected):
    (folder / "text_encoder").rename(folder / "text_encoder_2")
    (folder / "tokenizer").rename(folder / "tokenizer_2")
    configure(folder, "text_encoder_2", projection_dim=32)
    index = {"_class_name": "StableDiffusionXLImg2ImgPipeline", "text_encoder": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index))
    (golden,) = plan(changes={"verify": Goldens(steps=steps)}).goldens
    assert int(golden.steps * golden.strength) == expected  # as Diffusers counts


def test_a_golden_image_of_a_model_that_prints_from_text_starts_from_noise(plan):
    assert plan().goldens[0].strength is None


def test_the_profiles_precision_and_defaults_are_taken(plan):
    made = plan(
        changes={
            "precision": {"default": "fp16", "vae_decoder": "fp32"},
            "defaults": CallDefaults(num_inference_steps=7, guidance_scale=0.0, scheduler="euler"),
        }
    )
    precisions = {part.name: part.precision for part in made.components}
    assert precisions == {"text_encoder": "fp16", "unet": "fp16", "vae_decoder": "fp32", "vae_encoder": "fp16"}
    assert made.defaults == Defaults(num_inference_steps=7, guidance_scale=0.0, scheduler="euler")
    assert (made.goldens[0].guidance_scale, made.goldens[0].scheduler) == (0.0, "euler")


def test_golden_prompts_of_the_caller_are_all_printed(plan):
    made = plan(prompts=("a", "b", "c"))
    assert [(golden.prompt, golden.seed) for golden in made.goldens] == [("a", 0), ("b", 1), ("c", 2)]


@pytest.mark.parametrize("target", ["abacus:cpu", "ort:npu", "openvino:tpu", "openvino", "cpu", ""])
def test_an_unknown_target_is_refused(plan, target):
    with pytest.raises(UnknownName, match=r"known targets: .*openvino:cpu.*ort:cpu|write backend:device"):
        plan(target)


def test_a_device_that_is_not_here_is_verified_on_the_cpu_or_refused(plan):
    made = plan("openvino:gpu")
    assert (str(made.target), str(made.verify_on)) == ("openvino:gpu", "openvino:cpu")
    with pytest.raises(TargetMismatch, match="openvino:gpu is not on this machine; without --require-device"):
        plan("openvino:gpu", require_device=True)


def test_auto_takes_the_best_that_is_here_and_says_why(plan, monkeypatch):
    assert str(plan("auto").target) == "openvino:cpu"
    monkeypatch.setattr(session, "devices", lambda target: {"gpu": "GPU"} if target.backend == "openvino" else {})
    made = plan("auto")
    assert made.target == Target("openvino", "gpu")
    assert "GPU" in made.reason


def test_the_npu_takes_static_shapes_in_fp16_only(plan):
    ranges = ShapePlan(height=ShapeRange(64, 128, 256), width=ShapeRange(64, 128, 256))
    with pytest.raises(BadProfile, match="static shapes only"):
        plan("openvino:npu", changes={"shapes": ranges, "precision": {"default": "fp16"}})
    with pytest.raises(BadProfile, match="fp16 only, and the profile asks bf16 of unet"):
        plan("openvino:npu", changes={"precision": {"default": "fp16", "unet": "bf16"}})
    plan("openvino:npu", changes={"precision": {"default": "fp16"}})


@pytest.mark.parametrize(
    "shapes",
    [
        ShapePlan(sizes=("128x128", "128x120")),
        ShapePlan(height=ShapeRange(64, 128, 256), width=ShapeRange(64, 136, 256)),
        ShapePlan(height=ShapeRange(4, 128, 256), width=ShapeRange(64, 128, 256)),
        ShapePlan(height=ShapeRange(64, 128, 260), width=ShapeRange(64, 128, 256)),
    ],
)
def test_a_size_that_the_model_can_not_halve_is_refused(plan, shapes):
    # 8 pixels a latent, halved once by a UNet of two blocks
    with pytest.raises(BadRequest, match="multiples of 16"):
        plan(changes={"shapes": shapes})


@pytest.mark.parametrize("steps", [1001, 5000])
def test_more_steps_than_the_schedule_has_are_refused(plan, steps):
    for changes in ({"defaults": CallDefaults(steps)}, {"verify": Goldens(steps=steps)}):
        with pytest.raises(BadRequest, match=f"steps is {steps}; it must be from 1 to 1000"):
            plan(changes=changes)


def test_an_unknown_scheduler_is_refused(plan, folder):
    with pytest.raises(UnknownName, match="unknown scheduler 'eulre'"):
        plan(changes={"defaults": CallDefaults(scheduler="eulre")})
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**SCHEDULER, "_class_name": "EDMEulerScheduler"}))
    with pytest.raises(UnknownName, match="EDMEulerScheduler"):
        plan()


@pytest.mark.parametrize("kind", ["FluxPipeline", "StableDiffusion3Pipeline", None, 3])
def test_another_family_is_refused_with_those_we_know(plan, folder, kind):
    (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    with pytest.raises(BadModel, match=f"the checkpoint is a {kind}; this version compiles .*StableDiffusionPipeline"):
        plan()


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "scheduler"])
def test_a_missing_configuration_is_named(plan, folder, part):
    for file in (folder / part).glob("*.json"):
        file.unlink()
    with pytest.raises(BadModel, match=part):
        plan()


def test_a_configuration_without_a_needed_key_names_it(plan, folder):
    (folder / "unet" / "config.json").write_text("{}")
    with pytest.raises(BadModel, match=r"has no configuration of '.*', which a StableDiffusionPipeline needs"):
        plan()


def test_a_vae_without_a_scaling_factor_has_diffusers_default(plan, folder):
    (folder / "vae" / "config.json").write_text(json.dumps({"latent_channels": 4, "block_out_channels": [8, 16]}))
    assert plan().anatomy.settings["scaling_factor"] == 0.18215  # as in SD 1.5's own file


@pytest.mark.parametrize("changes", [{"sample_size": None}, {"block_out_channels": 3}, {"sample_size": [64, 64]}])
def test_a_configuration_of_another_kind_is_a_bad_model(plan, folder, changes):
    configure(folder, "unet", **changes)
    with pytest.raises(BadModel, match="tiny"):
        plan()


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_missing_and_broken_weights_are_named(plan, folder, part):
    weights = folder / part / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(BadModel, match=rf"{part}/model\.safetensors was cut short"):
        plan()
    weights.unlink()
    with pytest.raises(BadModel, match=rf"no \.safetensors weights in {part}"):
        plan()


def test_a_missing_tokenizer_is_named(plan, folder):
    (folder / "tokenizer" / "vocab.json").unlink()
    with pytest.raises(BadModel, match="tokenizer holds no CLIP tokenizer"):
        plan()


def test_an_output_that_is_no_bundle_is_not_written_over(plan, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    for name in ("file", "folder"):
        with pytest.raises(OutputFailed, match=f"{name} exists and is no bundle; choose another folder with -o"):
            plan(output=tmp_path / name)


def test_a_bundle_and_an_empty_folder_may_be_written_over(plan, tmp_path):
    for name in ("old", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "old" / "manifest.json").touch()
    assert [plan(output=tmp_path / name).output.name for name in ("old", "empty")] == ["old", "empty"]


def test_an_output_that_can_not_be_written_is_refused(plan, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputFailed, match=r"can't write to .*file/below: Not a directory"):
        plan(output=tmp_path / "file" / "below" / "bundle")


def test_without_a_name_the_bundle_is_called_after_model_and_target(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(plan(output=None).output) == "tiny-ort-cpu"
