"""LoRA files in the spellings that are about, merged, against Diffusers and PEFT, which load them by themselves."""

import json
import math
from dataclasses import replace

import pytest

from aquatint.compile.adapters import adapters_key, check_adapters, merge_adapters
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.family import find_family
from aquatint.compile.lora import parse_lora
from aquatint.runtime.errors import BadModel

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
pytest.importorskip("peft")
safetensors = pytest.importorskip("safetensors.torch")

RANK = 3
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
TEXT = "encoder.layers.1"
# tiny-sd: linear layers, convolutions of 1x1 and 3x3, and one with a stride
UNET = (
    f"{BLOCK}.attn1.to_q", f"{BLOCK}.attn2.to_k", f"{BLOCK}.attn2.to_v", f"{BLOCK}.attn1.to_out.0",
    f"{BLOCK}.ff.net.0.proj", f"{BLOCK}.ff.net.2", "down_blocks.0.attentions.0.proj_in",
    "mid_block.attentions.0.proj_out", "down_blocks.0.resnets.0.conv1", "down_blocks.1.resnets.0.conv_shortcut",
    "up_blocks.0.resnets.1.time_emb_proj", "down_blocks.0.downsamplers.0.conv", "up_blocks.0.upsamplers.0.conv",
)  # fmt: skip
ATTENTION = UNET[:4]
ENCODER = tuple(f"{TEXT}.{name}" for name in ("self_attn.q_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"))
# tiny-sdxl, in Stability's words and in Diffusers'
SGM = {
    "input_blocks_1_0_in_layers_2": "down_blocks.0.resnets.0.conv1",
    "input_blocks_2_0_op": "down_blocks.0.downsamplers.0.conv",
    "input_blocks_3_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
    "input_blocks_3_1_transformer_blocks_1_attn1_to_q": "down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_q",
    "input_blocks_3_1_proj_in": "down_blocks.1.attentions.0.proj_in",
    "middle_block_1_transformer_blocks_0_ff_net_0_proj": "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
    "middle_block_2_emb_layers_1": "mid_block.resnets.1.time_emb_proj",
    "output_blocks_0_1_transformer_blocks_0_attn2_to_out_0": (
        "up_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0"
    ),
    "output_blocks_1_2_conv": "up_blocks.0.upsamplers.0.conv",
    "output_blocks_3_0_out_layers_3": "up_blocks.1.resnets.1.conv2",
}


class Studio:
    """A checkpoint, and what its networks become with a LoRA: by us, and by Diffusers."""

    def __init__(self, folder, place):
        self.folder, self.place = folder, place
        self.pipe = self.load()
        self.networks = [name for name in ("unet", "text_encoder", "text_encoder_2") if hasattr(self.pipe, name)]

    def load(self):
        return diffusers.DiffusionPipeline.from_pretrained(self.folder, use_safetensors=True)

    def weight(self, network, layer):
        """A layer's weight; text encoders may have their layers under text_model."""
        module = getattr(self.pipe, network)
        return (getattr(module, "text_model", module) if network != "unet" else module).get_submodule(layer).weight

    def halves(self, network, layer):
        """Random up and down for a layer, (out, rank, 1, 1) and (rank, in, 3, 3) for a convolution of 3x3."""
        shape = self.weight(network, layer).shape
        up = torch.randn(shape[0], RANK, *[1] * len(shape[2:]))
        return up * 0.1, torch.randn(RANK, *shape[1:]) * 0.1

    def write(self, tensors, metadata=None):
        file = self.place / "style.safetensors"
        safetensors.save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file, metadata)
        return file

    def checkpoint(self, *words):
        return find_checkpoint(
            str(self.folder), revision=None, variant=None, config=None, work=self.place, loras=list(map(str, words))
        )

    def ours(self, *words):
        """Each network's weights with our LoRAs, and that the plan accepts them."""
        checkpoint, pipe = self.checkpoint(*words), self.load()
        anatomy = anatomy_of(checkpoint)
        check_adapters(checkpoint, anatomy)
        merge_adapters(checkpoint, anatomy, pipe, set(self.networks))
        return self.weights(pipe)

    def theirs(self, *files, scale=1.0):
        """The same by Diffusers and PEFT."""
        pipe = self.load()
        for file in files:
            pipe.load_lora_weights(str(file.parent), weight_name=file.name)
            pipe.fuse_lora(components=self.networks, lora_scale=scale)
            pipe.unload_lora_weights()
        return self.weights(pipe)

    def weights(self, pipe):
        return {f"{n}.{key}": w for n in self.networks for key, w in getattr(pipe, n).state_dict().items()}

    def assert_same(self, ours, theirs, changed):
        """Equal to 1e-6, sums in another order; and `changed` layers are not what they were."""
        assert ours.keys() == theirs.keys()
        for key, weight in theirs.items():
            torch.testing.assert_close(ours[key], weight, rtol=1e-5, atol=1e-6, msg=lambda m, key=key: f"{key}: {m}")
        before = self.weights(self.pipe)
        assert sum(not torch.equal(before[key], ours[key]) for key in before) == changed


def anatomy_of(checkpoint):
    return find_family(checkpoint.configs["model_index"]["_class_name"]).anatomy(checkpoint.configs)


@pytest.fixture
def sd(workshop, tmp_path):
    torch.manual_seed(0)
    return Studio(workshop.checkpoint("tiny-sd"), tmp_path)


@pytest.fixture
def sdxl(workshop, tmp_path):
    torch.manual_seed(0)
    return Studio(workshop.checkpoint("tiny-sdxl"), tmp_path)


def peft_file(studio, encoders=("text_encoder",), unet=UNET, prefix="text_model."):
    tensors = {}
    for network, layers in {"unet": unet, **dict.fromkeys(encoders, ENCODER)}.items():
        for layer in layers:
            name = f"{network}.{layer}" if network == "unet" else f"{network}.{prefix}{layer}"
            up, down = studio.halves(network, layer)
            tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    return tensors


def kohya_file(studio, encoders, unet, alpha=lambda i: 2.0):
    """unet: kohya's word -> Diffusers' name.  encoders: kohya's word -> the network."""
    layers = [("unet", "unet_" + word, name) for word, name in unet.items()]
    for word, network in encoders.items():
        layers += [(network, f"{word}_text_model_{name}".replace(".", "_"), name) for name in ENCODER]
    tensors = {}
    for i, (network, word, name) in enumerate(layers):
        up, down = studio.halves(network, name)
        tensors |= {f"lora_{word}.lora_up.weight": up, f"lora_{word}.lora_down.weight": down}
        tensors[f"lora_{word}.alpha"] = torch.tensor(alpha(i))
    return tensors


def underscored(layers):
    return {layer.replace(".", "_"): layer for layer in layers}


def test_a_file_of_diffusers_and_peft(sd):
    file = sd.write(peft_file(sd))
    sd.assert_same(sd.ours(f"{file}:0.7"), sd.theirs(file, scale=0.7), len(UNET) + len(ENCODER))


def test_a_file_of_peft_for_both_encoders_of_sdxl(sdxl):
    file = sdxl.write(peft_file(sdxl, ("text_encoder", "text_encoder_2"), ["mid_block.attentions.0.proj_in"]))
    sdxl.assert_same(sdxl.ours(f"{file}:-1.5"), sdxl.theirs(file, scale=-1.5), 1 + 2 * len(ENCODER))


@pytest.mark.parametrize("rank_stabilized", [False, True])
def test_alphas_in_the_files_own_configuration_are_taken(sd, rank_stabilized):
    own = UNET[4]
    config = {"unet.r": RANK, "unet.lora_alpha": 6, "unet.alpha_pattern": {own: 1}, "unet.target_modules": [*UNET]}
    config["unet.use_rslora"] = rank_stabilized
    file = sd.write(peft_file(sd, encoders=()), {"lora_adapter_metadata": json.dumps(config), "format": "pt"})
    sd.assert_same(sd.ours(file), sd.theirs(file), len(UNET))


def test_a_file_of_kohya_with_alphas_and_convolutions(sd):
    file = sd.write(kohya_file(sd, {"te": "text_encoder"}, underscored(UNET)))
    sd.assert_same(sd.ours(f"{file}:0.8"), sd.theirs(file, scale=0.8), len(UNET) + len(ENCODER))


def test_a_file_of_kohya_for_sdxl_in_stabilitys_words(sdxl):
    file = sdxl.write(kohya_file(sdxl, {"te1": "text_encoder", "te2": "text_encoder_2"}, SGM))
    sdxl.assert_same(sdxl.ours(file), sdxl.theirs(file), len(SGM) + 2 * len(ENCODER))


def test_each_layer_has_its_own_alpha(sd):
    # Not against Diffusers, which gives the text encoder's layers the commonest alpha; kohya's rule is alpha / rank.
    tensors = kohya_file(sd, {"te": "text_encoder"}, underscored(UNET), alpha=lambda i: 1.0 + i)
    merged = sd.ours(sd.write(tensors))
    for word, alpha in ((word, tensors[word].item()) for word in tensors if word.endswith(".alpha")):
        up, down = (tensors[word.replace("alpha", f"lora_{half}.weight")].double() for half in ("up", "down"))
        network = "unet" if word.startswith("lora_unet_") else "text_encoder"
        layers = {layer.replace(".", "_"): layer for layer in (*UNET, *ENCODER)}
        layer = layers[word.removesuffix(".alpha").removeprefix("lora_unet_").removeprefix("lora_te_text_model_")]
        expected = sd.weight(network, layer).double() + alpha / RANK * torch.einsum("or...,ri...->oi...", up, down)
        torch.testing.assert_close(merged[f"{network}.{layer}.weight"].double(), expected, rtol=1e-5, atol=1e-6)


def test_a_file_of_attention_processors(sd):
    tensors = {}
    for layer in ATTENTION:
        attention, _, name = layer.removesuffix(".0").rpartition(".")
        up, down = sd.halves("unet", layer)
        word = f"unet.{attention}.processor.{name}_lora"
        tensors |= {f"{word}.up.weight": up, f"{word}.down.weight": down}
    for layer in ENCODER:
        up, down = sd.halves("text_encoder", layer)
        word = f"text_encoder.text_model.{layer}.lora_linear_layer"
        tensors |= {f"{word}.up.weight": up, f"{word}.down.weight": down}
    file = sd.write(tensors)
    theirs = sd.theirs(file)
    ours = sd.ours(file)
    sd.assert_same(ours, theirs, len(ATTENTION) + len(ENCODER))
    bare = {key.removeprefix("unet."): tensor for key, tensor in tensors.items() if key.startswith("unet.")}
    merged = sd.ours(sd.write(bare))
    assert all(torch.equal(merged[key], ours[key]) for key in merged if key.startswith("unet."))


def test_several_loras_add_up(sd):
    first = sd.write(peft_file(sd)).rename(sd.place / "first.safetensors")
    second = sd.write(kohya_file(sd, {"te": "text_encoder"}, underscored(UNET[:3])))
    sd.assert_same(sd.ours(first, second), sd.theirs(first, second), len(UNET) + len(ENCODER))


def test_half_precision_is_merged_in_single(sd):
    tensors = {key: tensor.half() for key, tensor in peft_file(sd).items()}
    wide = sd.ours(sd.write({key: tensor.float() for key, tensor in tensors.items()}))
    half = sd.ours(sd.write(tensors))
    assert all(torch.equal(half[key], wide[key]) and half[key].dtype == torch.float32 for key in wide)


def test_a_1x1_convolution_is_added_to_a_linear_layer_and_the_other_way_round(sd):
    tensors = peft_file(sd, encoders=(), unet=[UNET[0], "down_blocks.0.attentions.0.proj_in"])
    turned = {key: t[..., None, None] if t.ndim == 2 else t.flatten(1) for key, t in tensors.items()}
    ours, theirs = sd.ours(sd.write(turned)), sd.ours(sd.write(tensors))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def with_extra(**extra):
    return lambda tensors: {**tensors, **{key.replace("__", "."): torch.ones(shape) for key, shape in extra.items()}}


def renamed(old, new):
    return lambda tensors: {key.replace(old, new): tensor for key, tensor in tensors.items()}


def without(key):
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name != key}


def reshaped(key, *shape):
    return lambda tensors: {**tensors, key: torch.ones(shape)}


Q = f"unet.{UNET[0]}"
OLD_Q = f"unet.{BLOCK}.attn1.processor.to_q_lora"
KOHYA = "lora_unet_" + UNET[0].replace(".", "_")
WRONG_PEFT = {
    "an unknown layer": (renamed("attn1.to_q", "attn9.to_q"), r"2 of its 34 .*attn9\.to_q\.lora_A\.weight \(unet has"),
    "DoRA": (with_extra(**{f"{Q}.lora_magnitude_vector": (16,)}), r"1 of its 35 .*lora_magnitude_vector.*DoRA can't"),
    "a bias": (with_extra(**{f"{Q}.lora_B.bias": (16,)}), r"1 of its 35 .*lora_B\.bias"),
    "half a pair": (without(f"{Q}.lora_B.weight"), r"1 of its 33 .*to_q\.lora_A\.weight"),
    "another width": (reshaped(f"{Q}.lora_A.weight", RANK, 17), r"2 of its 34 .*shape \[16, 17\], where .*\[16, 16\]"),
    "ranks that differ": (reshaped(f"{Q}.lora_A.weight", RANK + 1, 16), r"2 of its 34 .* don't multiply"),
    "no rank": (lambda t: reshaped(f"{Q}.lora_A.weight", 0, 16)(reshaped(f"{Q}.lora_B.weight", 16, 0)(t)), "multiply"),
    "a second encoder": (renamed("text_encoder.", "text_encoder_2."), r"8 of its 34 .*for text_encoder_2, where the"),
    "an unknown network": (renamed("text_encoder.", "vae."), r"8 of its 34 .*for vae, where the model has text_enc"),
    "one layer in two spellings": (
        with_extra(**{f"{OLD_Q}.down.weight": (RANK, 16), f"{OLD_Q}.up.weight": (16, RANK)}), "2 of its 36 .*a second"
    ),
}  # fmt: skip
WRONG_KOHYA = {
    "an unknown layer": (renamed("attn1_to_q", "attn9_to_q"), r"3 of its 51 .*attn9_to_q"),
    "DoRA": (with_extra(**{f"{KOHYA}.dora_scale": (16, 1)}), r"1 of its 52 .*dora_scale; DoRA can't be merged"),
    "LoHa": (with_extra(**{f"{KOHYA}.hada_w1_a": (16, 4)}), r"1 of its 52 .*hada_w1_a; LoHa can't be merged"),
    "LoKr": (with_extra(**{f"{KOHYA}.lokr_w1": (4, 4)}), r"1 of its 52 .*lokr_w1; LoKr can't be merged"),
    "half a pair": (without(f"{KOHYA}.lora_up.weight"), r"2 of its 50 .*to_q\.alpha|lora_down"),
    "an alpha alone": (with_extra(lora_unet_x__alpha=()), r"1 of its 52 .*lora_unet_x\.alpha"),
    "an alpha of many": (reshaped(f"{KOHYA}.alpha", 2), r"1 of its 51 .*to_q\.alpha"),
    "a second encoder": (renamed("lora_te_", "lora_te2_"), r"12 of its 51 .*for text_encoder_2, where"),
    "a third encoder": (renamed("lora_te_", "lora_te3_"), r"of its 51 tensors have no place"),
    "both kinds of block": (
        with_extra(lora_unet_input_blocks_1_1_proj_in__lora_down__weight=(RANK, 16, 1, 1),
                   lora_unet_input_blocks_1_1_proj_in__lora_up__weight=(16, RANK, 1, 1)),
        r"2 of its 53 .*input_blocks_1_1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change, message", WRONG_PEFT.values(), ids=WRONG_PEFT)
def test_a_tensor_without_a_place_is_named(sd, change, message):
    with pytest.raises(BadModel, match=message):
        check(sd, sd.write(change(peft_file(sd))))


@pytest.mark.parametrize("change, message", WRONG_KOHYA.values(), ids=WRONG_KOHYA)
def test_a_tensor_of_kohya_without_a_place_is_named(sd, change, message):
    with pytest.raises(BadModel, match=message):
        check(sd, sd.write(change(kohya_file(sd, {"te": "text_encoder"}, underscored(UNET)))))


def test_a_block_without_a_number_is_refused(sdxl):
    words = {word.replace("blocks_3", "blocks_three"): layer for word, layer in SGM.items()}
    with pytest.raises(BadModel, match=r"style\.safetensors names layers as no Stable Diffusion does: .*three"):
        check(sdxl, sdxl.write(kohya_file(sdxl, {}, words)))


def check(studio, *words):
    checkpoint = studio.checkpoint(*words)
    check_adapters(checkpoint, anatomy_of(checkpoint))


def test_a_lora_of_sdxl_is_refused_for_sd_without_loading_a_weight(sd, sdxl, monkeypatch):
    file = sdxl.write(kohya_file(sdxl, {"te2": "text_encoder_2"}, SGM))
    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", None)
    with pytest.raises(BadModel, match=r"style\.safetensors: .* of its .* tensors have no place in the model"):
        check(sd, file)


@pytest.mark.parametrize("key", ["w", "<cat>", "lora_unet_proj_in.alpha", "unet.proj_in.lora_A"])
def test_a_file_that_is_no_lora_is_refused(sd, key):
    with pytest.raises(BadModel, match=r"style\.safetensors is no LoRA: none of its 1 tensors is a lora_down"):
        check(sd, sd.write({key: torch.ones(2, 32)}))


def test_a_broken_configuration_in_the_file_is_refused(sd):
    with pytest.raises(BadModel, match="lora_adapter_metadata that is no JSON object"):
        check(sd, sd.write(peft_file(sd), {"lora_adapter_metadata": "["}))


def test_the_command_line_plans_with_loras_and_embeddings(sd, monkeypatch):
    from click.testing import CliRunner

    from aquatint.cli import cli

    monkeypatch.chdir(sd.place)
    safetensors.save_file({"<cat-toy>": torch.zeros(2, 32)}, "cat.safetensors")
    arguments = ["compile", str(sd.folder), "-t", "ort:cpu", "--dry-run", "--cache", "cache"]
    arguments += ["--lora", f"{sd.write(peft_file(sd)).name}:0.8", "--embedding", "cat.safetensors:<x>"]
    text = CliRunner().invoke(cli, arguments, catch_exceptions=False).output
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "LoRA style.safetensors at scale 0.8" in rows
    assert "embedding <x>, of 2 vector(s)" in rows
    # A bundle without the LoRA is not written over.
    assert "output tiny-sd-style-ort-cpu" in rows


def test_graphs_take_no_lora(sd):
    checkpoint = sd.checkpoint(sd.write(peft_file(sd)))
    with pytest.raises(BadModel, match=r"holds graphs, which take no style\.safetensors"):
        check_adapters(replace(checkpoint, is_onnx=True), anatomy_of(checkpoint))


@pytest.mark.parametrize(
    "tail, scale", [("", 1.0), (":0.8", 0.8), (":1", 1.0), (":-2e-1", -0.2), (":0", 0.0)]
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.safetensors", "a:b.safetensors", "a:0.5.safetensors"])
def test_only_a_number_after_the_last_colon_is_a_scale(tmp_path, name, tail, scale):
    safetensors.save_file({"w": torch.ones(1)}, tmp_path / name)
    found = parse_lora(f"{tmp_path / name}{tail}")
    assert (found.file, found.scale) == (tmp_path / name, scale)


@pytest.mark.parametrize("tail", [":inf", ":nan", ":-inf", ":1e999"])
def test_a_scale_that_is_not_finite_is_refused(tmp_path, tail):
    safetensors.save_file({"w": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(BadModel, match=r"the scale of .*a\.safetensors is (inf|nan|-inf); it must be a number"):
        parse_lora(f"{tmp_path / 'a.safetensors'}{tail}")


@pytest.mark.parametrize("name", ["a.safetensors:strong", "b.safetensors", "", ":0.5", "a.safetensors:"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    safetensors.save_file({"w": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(BadModel, match=r"there is no LoRA file .*; write FILE or FILE:SCALE"):
        parse_lora(f"{tmp_path}/{name}")


@pytest.mark.parametrize("name", ["a.pt", "a.bin", "a.ckpt"])
def test_a_pickle_is_never_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(BadModel, match=r"pickled files may run code when read.*convert it"):
        parse_lora(f"{tmp_path / name}:0.5")


def test_a_file_that_was_cut_short_is_refused(sd):
    file = sd.write(peft_file(sd))
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(BadModel, match="was cut short"):
        parse_lora(str(file))


def test_a_cached_result_depends_on_the_file_and_its_scale_where_it_is_merged(sd):
    file = sd.write(peft_file(sd, encoders=()))
    one, two = sd.checkpoint(f"{file}:0.5"), sd.checkpoint(f"{file}:0.6")
    assert adapters_key(one, "unet") != adapters_key(two, "unet")
    assert adapters_key(one, "text_encoder") == adapters_key(one, "vae") == adapters_key(sd.checkpoint()) == []
    assert adapters_key(one) == adapters_key(one, "unet") == [{"lora": one.loras[0].sha256, "scale": 0.5}]
    before = adapters_key(one)
    sd.write(peft_file(sd, encoders=()))
    assert adapters_key(sd.checkpoint(f"{file}:0.5")) != before
    assert math.isclose(one.loras[0].scale, 0.5)
