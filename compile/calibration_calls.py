"""Which pictures a model is calibrated with: the built-in prompts, or those of the user's file."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..runtime.errors import BadProfile, BadRequest
from ..runtime.pictures import read_picture
from ..runtime.request import Request
from .checkpoint import Checkpoint
from .family import Anatomy
from .start_picture import start_picture

# Many kinds of pictures in few words: what a model is asked for decides the numbers that it computes with.
PROMPTS = (
    "a portrait of an old fisherman, oil painting, warm light",
    "a city street at night in the rain, neon signs, photograph",
    "a mountain lake at sunrise with fog, wide angle",
    "a red bicycle leaning on a white wall",
    "a bowl of ramen seen from above, studio lighting",
    "watercolor of a cat asleep on a stack of books",
    "an astronaut on a horse, pencil drawing",
    "macro photograph of a dragonfly on a blade of grass",
)
KEYS = (
    "prompt", "negative_prompt", "image", "mask_image", "strength", "seed", "num_inference_steps", "guidance_scale",
    "height", "width",
)  # fmt: skip
FILES = ("image", "mask_image")
assert set(KEYS) <= {field.name for field in fields(Request)}

Call = dict[str, Any]


def read_calls(file: Path) -> list[Call]:
    """The calls that a calibration file asks for, as fields of runtime.request.Request.

    Each line is a prompt, or a JSON object with the keys above; files that it names lie beside it.  Empty lines and
    those that begin with # are left out.  Raises BadProfile, with the line's number.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as reason:
        said = getattr(reason, "strerror", None) or "it is no UTF-8 text"
        raise BadProfile(f"can't read the calibration file {file}: {said}") from reason
    calls = [
        _call(line.strip(), file, number)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not calls:
        raise BadProfile(f"the calibration file {file} has no prompt; write one in each line")
    return calls


def built_in_calls(checkpoint: Checkpoint, anatomy: Anatomy, images: int, height: int, width: int) -> list[Call]:
    """Calls of the model's usual kind, from noise or from a drawn picture.  height, width: pixels."""
    prompts = checkpoint.calibration_prompts or PROMPTS
    texts = [prompts[index % len(prompts)] for index in range(images)]
    size = {"height": height, "width": width}
    if anatomy.settings["inpainting"]:
        return [{"prompt": text, **size, **_to_inpaint(height, width)} for text in texts]
    if anatomy.settings["image_to_image"]:
        return [{"prompt": text, "image": start_picture(height, width), "strength": 0.6} for text in texts]
    return [{"prompt": text, **size} for text in texts]


def _to_inpaint(height: int, width: int) -> Call:
    """A drawn picture whose right half is painted anew."""
    from PIL import Image

    mask = Image.new("L", (width, height))
    mask.paste(255, (width // 2, 0, width, height))
    return {"image": start_picture(height, width), "mask_image": mask, "strength": 1.0}


def _call(line: str, file: Path, number: int) -> Call:
    if not line.startswith("{"):
        return {"prompt": line}
    where = f"the calibration file {file}, line {number}"
    try:
        table = json.loads(line)
    except (ValueError, RecursionError) as reason:
        raise BadProfile(f"{where} begins like a JSON object and is none: {reason}") from reason
    unknown = sorted(set(table) - set(KEYS))
    if unknown:
        raise BadProfile(f"{where} has {', '.join(unknown)}; known: {', '.join(KEYS)}")
    if not isinstance(table.get("prompt"), str) or not table["prompt"].strip():
        raise BadProfile(f"{where} has no prompt")
    for key in FILES:
        if key in table:
            picture = file.parent / str(table[key])
            try:
                table[key] = read_picture(picture)
            except BadRequest as reason:
                raise BadProfile(f"{where}: {reason}") from reason
    return table
