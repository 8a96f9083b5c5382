"""Our pictures beside Diffusers' own, of the same calls: a contact sheet, and the PSNR of each pair.

python -m aquatint.bench.likeness BUNDLE CHECKPOINT -o sheet.png
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageDraw

from ..runtime.bundle import Bundle, open_bundle, pipeline_of
from ..runtime.errors import BadModel
from ..runtime.pipeline import Pipeline
from ..runtime.pixels import psnr_db
from .sheet import Row, draw_sheet

# Which of Diffusers' pipelines does what, by the name of ours.
CLASSES = {
    "sd": {
        "text to image": "StableDiffusionPipeline",
        "image to image": "StableDiffusionImg2ImgPipeline",
        "inpainting": "StableDiffusionInpaintPipeline",
    },
    "sdxl": {
        "text to image": "StableDiffusionXLPipeline",
        "image to image": "StableDiffusionXLImg2ImgPipeline",
        "inpainting": "StableDiffusionXLInpaintPipeline",
    },
}
# The same for a distilled model with its guidance inside.
LCM_CLASSES = {
    "text to image": "LatentConsistencyModelPipeline",
    "image to image": "LatentConsistencyModelImg2ImgPipeline",
}
PROMPTS = {
    "text to image": "a red circle on the left on a white background",
    "image to image": "a yellow star on the left on a white background",
    "inpainting": "a red circle left of a blue square on a white background",
}
STRENGTHS = {"image to image": 0.8, "inpainting": 0.95}


@dataclass(frozen=True)
class Pair:
    """One call, by us and by Diffusers.  start, mask: what it went on from, or None."""

    task: str
    prompt: str
    ours: Image.Image
    theirs: Image.Image
    start: Image.Image | None
    mask: Image.Image | None

    @property
    def psnr_db(self) -> float:
        """Of our picture against Diffusers'."""
        return psnr_db(self.ours, self.theirs)


def compare(
    bundle: Bundle, checkpoint: Path, prompts: dict[str, str], seed: int, steps: int, size: tuple[int, int]
) -> list[Pair]:
    """A pair for each task that the model can do; it goes on from Diffusers' own text to image, or from a drawn one.

    prompts: by task.  size: (height, width) in pixels.
    Raises BadModel where the bundle has no pipeline of Diffusers beside it.
    """
    manifest = bundle.manifest
    known = CLASSES.get(manifest.pipeline)
    if manifest.pipeline == "sd" and manifest.settings.get("guidance_embedding"):
        known = {**CLASSES["sd"], **LCM_CLASSES}
    if known is None:
        raise BadModel(f"{bundle.folder} runs as {bundle.manifest.pipeline}; known here: {', '.join(CLASSES)}")
    ours, theirs = pipeline_of(bundle), _load(checkpoint)
    start, pairs = drawn_start(size), []
    for task in tasks(bundle):
        call = {**_call(task, start, size), "prompt": prompts[task], "num_inference_steps": steps}
        pair = _pair(task, ours, _as(theirs, known[task]), call, seed)
        if task == "text to image":
            start = pair.theirs
        pairs.append(pair)
    return pairs


def tasks(bundle: Bundle) -> list[str]:
    """What the bundle's model can do."""
    settings = bundle.manifest.settings
    if settings.get("inpainting"):
        return ["inpainting"]
    found = [] if settings.get("image_to_image") else ["text to image"]
    return [*found, "image to image", "inpainting"]


def drawn_start(size: tuple[int, int]) -> Image.Image:
    """A picture to go on from, for models that make none from text alone: a disc on a fading ground."""
    height, width = size
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    ImageDraw.Draw(picture).ellipse((width // 4, height // 4, 3 * width // 4, 3 * height // 4), fill=(200, 60, 40))
    return picture


def drawn_mask(size: tuple[int, int]) -> Image.Image:
    """White where to paint: the right half."""
    height, width = size
    mask = Image.new("L", (width, height))
    mask.paste(255, (width // 2, 0, width, height))
    return mask


def _call(task: str, start: Image.Image, size: tuple[int, int]) -> dict[str, Any]:
    """The arguments in which the tasks differ, as both take them."""
    if task == "text to image":
        return {"height": size[0], "width": size[1]}
    call = {"image": start, "strength": STRENGTHS[task]}
    if task == "image to image":
        return call
    return {**call, "mask_image": drawn_mask(size), "height": size[0], "width": size[1]}


def _pair(task: str, ours: Pipeline, theirs: Any, call: dict[str, Any], seed: int) -> Pair:
    import torch

    call["guidance_scale"] = ours.manifest.defaults.guidance_scale
    printed = ours(**call, seed=seed).images[0]
    expected = theirs(**call, generator=torch.Generator("cpu").manual_seed(seed)).images[0]
    assert isinstance(printed, Image.Image)
    return Pair(task, call["prompt"], printed, expected, call.get("image"), call.get("mask_image"))


def _load(checkpoint: Path) -> Any:
    import diffusers
    import torch

    if not (checkpoint / "model_index.json").is_file():
        raise BadModel(f"{checkpoint} is no Diffusers folder: it has no model_index.json")
    index = json.loads((checkpoint / "model_index.json").read_text(encoding="utf-8"))
    # A false alarm would make Diffusers' picture black.
    without = {"safety_checker": None} if "safety_checker" in index else {}
    pipe = diffusers.DiffusionPipeline.from_pretrained(
        checkpoint, dtype=torch.float32, local_files_only=True, **without
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _as(pipe: Any, name: str) -> Any:
    """The same networks as another of Diffusers' pipelines."""
    import diffusers

    wanted = getattr(diffusers, name)
    if isinstance(pipe, wanted):
        return pipe
    other = wanted.from_pipe(pipe)
    other.set_progress_bar_config(disable=True)
    return other


def _sides(size: str) -> tuple[int, int]:
    try:
        height, width = size.split("x")
        return int(height), int(width)
    except ValueError as reason:
        raise click.BadParameter(f"{size!r} is no size such as 512x768, height x width") from reason


def _folder(checkpoint: str) -> Path:
    from ..demo import MODEL

    return MODEL if checkpoint == "demo" else Path(checkpoint)


def _hush() -> None:
    """No bars and no advice of the reference's libraries."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()


def _row(pair: Pair) -> Row:
    difference = np.abs(np.asarray(pair.ours, np.int16) - np.asarray(pair.theirs, np.int16))
    return Row(
        title=pair.task,
        text=pair.prompt,
        start=pair.start,
        mask=pair.mask,
        pictures=(pair.ours, pair.theirs, Image.fromarray(np.minimum(20 * difference, 255).astype(np.uint8))),
        below=f"PSNR {pair.psnr_db:.1f} dB, largest difference {difference.max()} of 255",
    )


def _prompts(given: Sequence[str]) -> dict[str, str]:
    """One for each task in turn; the last of several serves the rest."""
    return {task: given[min(i, len(given) - 1)] for i, task in enumerate(PROMPTS)} if given else PROMPTS


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("checkpoint")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("sheet.png"), show_default=True)
@click.option("--prompt", "prompts", multiple=True, help="For text to image, image to image and inpainting in turn.")
@click.option("--seed", default=0, show_default=True)
@click.option("--steps", type=int, help="[default: the bundle's]")
@click.option("--size", help="HEIGHTxWIDTH in pixels.  [default: the bundle's]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def main(
    bundle: Path,
    checkpoint: str,
    output: Path,
    prompts: tuple[str, ...],
    seed: int,
    steps: int | None,
    size: str | None,
    as_json: bool,
) -> None:
    """Draw what BUNDLE prints beside what Diffusers makes of CHECKPOINT, a Diffusers folder or `demo`."""
    _hush()
    opened = open_bundle(bundle)
    manifest = opened.manifest
    sides = manifest.shapes.default_size if size is None else _sides(size)
    steps = steps or manifest.defaults.num_inference_steps
    pairs = compare(opened, _folder(checkpoint), _prompts(prompts), seed, steps, sides)
    opened.close()
    title = f"{manifest.model.name} on {opened.target}, profile {manifest.profile}: {steps} steps, seed {seed}"
    sheet = draw_sheet(title, ("ours", "Diffusers", "difference x 20"), [_row(pair) for pair in pairs])
    sheet.save(output, optimize=True)
    rows = [{"task": pair.task, "prompt": pair.prompt, "psnr_db": round(pair.psnr_db, 2)} for pair in pairs]
    if as_json:
        click.echo(json.dumps({"sheet": str(output), "pairs": rows}, ensure_ascii=False))
    else:
        for row in rows:
            click.echo(f"{row['task']:<16}{row['psnr_db']:6.1f} dB  {row['prompt']}")
        click.echo(output)


if __name__ == "__main__":
    main()
