"""Layers in blocks, and patterns that match these and no others."""

from fnmatch import fnmatchcase

import pytest

from aquatint.compile.search.blocks import blocks_of
from aquatint.quantize.layers import Layer

NAMES = [
    "conv_in",
    "time_embedding.linear_1",
    "down_blocks.0.attentions.1.proj_in",
    "down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0",
    "down_blocks.0.attentions.10.proj_in",
    "mid_block.attentions.0.proj_in",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.2",
    "mid_block.resnets.1.conv1",
    "up_blocks.2.upsamplers.0.conv",
    "encoder.layers.3.self_attn.q_proj",
    "encoder.layers.3.mlp.fc1",
    "decoder.up_blocks.0.resnets.2.conv_shortcut",
    "decoder.conv_in",
]


def layers(names):
    return [Layer(name, "linear", (64, 64), name) for name in names]


def test_layers_fall_into_the_parts_that_networks_repeat():
    found = {block.pattern: [layer.name for layer in block.layers] for block in blocks_of("unet", layers(NAMES))}
    assert found["down_blocks.0.attentions.1.*"] == NAMES[2:4]
    assert found["mid_block.attentions.0.*"] == NAMES[5:7]
    assert found["encoder.layers.3.*"] == NAMES[9:11]
    assert found["conv_in"] == ["conv_in"]
    assert found["decoder.conv_in"] == ["decoder.conv_in"]


@pytest.mark.parametrize("single", [False, True])
def test_a_pattern_matches_its_own_layers_alone(single):
    blocks = blocks_of("unet", layers(NAMES), single)
    for block in blocks:
        assert [name for name in NAMES if fnmatchcase(name, block.pattern)] == [layer.name for layer in block.layers]
    assert sum(len(block.layers) for block in blocks) == len(NAMES)
