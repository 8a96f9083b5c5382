"""A checkpoint in one file, laid out as Stable Diffusion's authors published it."""

import re

import pytest
from safetensors.torch import load_file, save_file

from aquatint.compile.checkpoint import find_checkpoint
from aquatint.runtime.errors import BadModel
from aquatint.runtime.manifest import read_manifest

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet_name(name: str, layers: int, has_attention: list[bool]) -> str:
    """Diffusers' name of a UNet tensor -> the original one.  has_attention: of each up block."""
    stem, _, kind = name.rpartition(".")
    if stem in ENDS:
        return f"{ENDS[stem]}.{kind}"
    side, block, part, index, rest = re.fullmatch(r"(down|mid|up)_blocks?\.?(\d*)\.(\w+)\.(\d+)\.(.*)", name).groups()  # type: ignore[union-attr]
    rest = (
        re.sub(rf"^({'|'.join(RESNET)})\.", lambda found: f"{RESNET[found[1]]}.", rest) if part == "resnets" else rest
    )
    if side == "mid":
        return f"middle_block.{1 if part == 'attentions' else 2 * int(index)}.{rest}"
    first = int(block) * (layers + 1)
    if side == "down":
        if part == "downsamplers":
            return f"input_blocks.{first + layers + 1}.0.{rest.replace('conv', 'op')}"
        return f"input_blocks.{first + 1 + int(index)}.{int(part == 'attentions')}.{rest}"
    if part == "upsamplers":
        return f"output_blocks.{first + layers}.{1 + has_attention[int(block)]}.{rest}"
    return f"output_blocks.{first + int(index)}.{int(part == 'attentions')}.{rest}"


def vae_name(name: str, blocks: int) -> str:
    """Diffusers' name of a VAE tensor -> the original one."""
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda found: f"up.{blocks - 1 - int(found[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{blocks - 1 - int(found[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    attention = re.fullmatch(r"(.*)mid_block\.attentions\.0\.(.*)\.(\w+)", name)
    return f"{attention[1]}mid.attn_1.{VAE_ATTENTION[attention[2]]}.{attention[3]}" if attention else name


@pytest.fixture(scope="module")
def single_file(workshop, tmp_path_factory):
    model = workshop.checkpoint("tiny-sd")
    tensors = {}
    for name, tensor in load_file(model / "unet" / "diffusion_pytorch_model.safetensors").items():
        tensors["model.diffusion_model." + unet_name(name, layers=1, has_attention=[False, True])] = tensor
    for name, tensor in load_file(model / "vae" / "diffusion_pytorch_model.safetensors").items():
        original = vae_name(name, blocks=4)
        flat = ".attn_1." in original and original.endswith("weight") and tensor.ndim == 2
        tensors["first_stage_model." + original] = tensor[:, :, None, None].contiguous() if flat else tensor
    for name, tensor in load_file(model / "text_encoder" / "model.safetensors").items():
        tensors["cond_stage_model.transformer.text_model." + name.removeprefix("text_model.")] = tensor
    file = tmp_path_factory.mktemp("single") / "tiny.safetensors"
    save_file(tensors, file)
    return file


def test_it_prints_the_picture_of_the_folder_it_was_made_from(workshop, single_file, exact, tmp_path):
    config = str(workshop.checkpoint("tiny-sd"))
    found = find_checkpoint(str(single_file), revision=None, variant=None, config=config, work=workshop.cache)
    bundle = workshop.compile_checkpoint(found, "ort:cpu", exact, tmp_path / "bundle")
    there = workshop.bundle("tiny-sd", "ort:cpu")
    assert (bundle / "golden" / "0.png").read_bytes() == (there / "golden" / "0.png").read_bytes()
    assert read_manifest(bundle).model.name == "tiny"


def test_a_file_that_is_no_checkpoint_is_one_sentence(tmp_path):
    import torch

    save_file({"x": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(BadModel, match=r"x.safetensors can't be taken apart"):
        find_checkpoint(
            str(tmp_path / "x.safetensors"), revision=None, variant=None, config=str(tmp_path), work=tmp_path / "cache"
        )
