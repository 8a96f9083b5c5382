"""Where the tensors of a LoRA file belong: the spellings that are about, and a check that none is left over."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from ..runtime.errors import BadModel
from .lora import Lora, Update, plain

# Each network's weights: name, as `plain` has it -> shape.
Shapes = Mapping[str, Mapping[str, tuple[int, ...]]]

UNET = "unet"
PREFIXES = (UNET, "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")
HALF = re.compile(
    r"(?P<layer>.+?)\.((?P<old>to_(q|k|v|out))_lora\.|lora\.|lora_linear_layer\.|lora_)(?P<half>down|up|A|B)\.weight"
)
HALVES = {"down": "down", "A": "down", "up": "up", "B": "up"}
OLD_UNET = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
OLD_TEXT = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
OTHERS = {
    "dora_scale": "DoRA", "lora_magnitude_vector": "DoRA", ".hada_": "LoHa", ".lokr_": "LoKr", ".oft_": "OFT",
    ".lora_mid": "a CP decomposition", ".diff": "a full difference",
}  # fmt: skip
CONFIG = "lora_adapter_metadata"  # where Diffusers writes PEFT's configuration
NAMED = 4  # tensors that a message names


def place(lora: Lora, shapes: Shapes, layers_per_block: int) -> dict[str, list[Update]]:
    """Where each tensor of the file belongs: network -> its updates.  Reads names and alphas, no weights.

    layers_per_block: of the UNet, for files that number its blocks as Stability's code did.
    Raises BadModel, which names the tensors that have no place.
    """
    from safetensors import safe_open

    with safe_open(lora.file, framework="pt") as file:
        sizes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        pairs = _pairs(sizes)
        written = [base for base in pairs if sizes.get(f"{base}.alpha") in ((), (1,))]
        alphas = {base: float(file.get_tensor(f"{base}.alpha")) for base in written}
        config = _config(lora, file.metadata() or {})
    if not pairs:
        raise BadModel(f"{lora.file} is no LoRA: none of its {len(sizes)} tensors is a lora_down or lora_A")

    placed: dict[str, dict[str, Update]] = {}
    left = dict.fromkeys(sizes, "")
    names = _diffusers_names(lora, pairs, layers_per_block)
    bare = not any(name.startswith(tuple(f"{prefix}." for prefix in PREFIXES)) for name in names.values())
    for base, name in names.items():
        down, up = pairs[base]["down"], pairs[base]["up"]
        network, layer = _split(f"{UNET}.{name}" if bare else name)
        updates = placed.setdefault(network, {})
        why_not = _misfit(network, layer, sizes[down], sizes[up], shapes) or (layer in updates and "a second time")
        if why_not:
            left |= {down: why_not, up: why_not}
            continue
        rank = sizes[up][1]
        alpha = alphas.get(base, _configured_alpha(config, network, layer, rank))
        updates[layer] = Update(layer, down, up, alpha / rank)
        for key in (down, up, *([f"{base}.alpha"] if base in alphas else [])):
            del left[key]
    if left:
        raise BadModel(f"{lora.file}: {_unplaced(left, len(sizes))}")
    return {network: list(updates.values()) for network, updates in placed.items()}


def _pairs(keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """The file's name of a layer -> {"down": key, "up": key}; halves without the other are left out."""
    pairs: dict[str, dict[str, str]] = {}
    for key in keys:
        if found := HALF.fullmatch(key):
            base = ".".join(filter(None, (found["layer"], found["old"])))
            pairs.setdefault(base, {})[HALVES[found["half"]]] = key
    return {base: pair for base, pair in pairs.items() if len(pair) == 2}


def _diffusers_names(lora: Lora, pairs: Mapping[str, Mapping[str, str]], layers_per_block: int) -> dict[str, str]:
    """The file's name of a layer -> Diffusers' name of its down tensor, for those that Diffusers knows."""
    from diffusers.loaders import StableDiffusionLoraLoaderMixin

    bases = {pair["down"]: base for base, pair in pairs.items()}
    # The converter only moves values from name to name; what it moves here is the name that each had.
    moved = {key: key for pair in pairs.values() for key in pair.values()}
    try:
        converted, _ = StableDiffusionLoraLoaderMixin.lora_state_dict(
            moved, unet_config=SimpleNamespace(layers_per_block=layers_per_block)
        )
    except (ValueError, KeyError, IndexError, TypeError) as reason:
        raise BadModel(f"{lora.file} names layers as no Stable Diffusion does: {str(reason)[:200]}") from reason
    return {bases[key]: name for name, key in converted.items() if key in bases}


def _split(name: str) -> tuple[str, str]:
    """unet.mid_block.attn1.processor.to_q_lora.down.weight -> unet, mid_block.attn1.to_q."""
    network, _, rest = name.replace(".processor.", ".").partition(".")
    found = HALF.fullmatch(rest)
    if found is None:
        return network, rest
    old = (OLD_UNET if network == UNET else OLD_TEXT).get(found["old"] or "")
    return network, plain(".".join(filter(None, (found["layer"], old))))


def _misfit(network: str, layer: str, down: tuple[int, ...], up: tuple[int, ...], shapes: Shapes) -> str:
    """Why an update can't be added to its layer's weight, or nothing."""
    if network not in shapes:
        return f"for {network}, where the model has {', '.join(shapes)}"
    weight = shapes[network].get(f"{layer}.weight")
    if weight is None:
        return f"{network} has no such layer"
    if len(down) < 2 or len(up) < 2 or not up[1] or down[0] != up[1] or any(size != 1 for size in up[2:]):
        return f"shapes {list(up)} and {list(down)} don't multiply"
    update = (up[0], *down[1:])
    if _trimmed(update) != _trimmed(weight) or len(weight) not in (2, 4):
        return f"shape {list(update)}, where the layer has {list(weight)}"
    return ""


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A 1x1 convolution is a linear layer."""
    return shape[:2] if set(shape[2:]) == {1} else shape


def _config(lora: Lora, metadata: Mapping[str, str]) -> dict[str, Any]:
    """PEFT's configuration, as Diffusers writes it beside the tensors."""
    try:
        return dict(json.loads(metadata.get(CONFIG, "{}")))
    except (ValueError, TypeError) as reason:
        raise BadModel(f"{lora.file} has a {CONFIG} that is no JSON object: {reason}") from reason


def _configured_alpha(config: Mapping[str, Any], network: str, layer: str, rank: int) -> float:
    """Alpha as PEFT's configuration has it; without one the rank, which makes the factor 1."""
    alpha = config.get(f"{network}.lora_alpha")
    if alpha is None:
        return float(rank)
    for name, own in (config.get(f"{network}.alpha_pattern") or {}).items():
        if f".{layer}".endswith("." + plain(name.lstrip("^"))):
            alpha = own
    return float(alpha) * (math.sqrt(rank) if config.get(f"{network}.use_rslora") else 1)


def _unplaced(left: Mapping[str, str], total: int) -> str:
    """The message for tensors without a place: how many, which, and why."""
    kinds = sorted({kind for key in left for mark, kind in OTHERS.items() if mark in key})
    named = [f"{key} ({reason})" if reason else key for key, reason in left.items()]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    hint = f"; {' and '.join(kinds)} can't be merged" if kinds else ""
    return f"{len(left)} of its {total} tensors have no place in the model: {', '.join(named[:NAMED])}{more}{hint}"
