"""Scores the demo model with Diffusers on its held-out prompts: python -m aquatint.demo.evaluate."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np

from . import MODEL
from .judge import compare, judge
from .prompts import held_out, read_caption
from .sheet import contact_sheet

FORMAT = 1


@dataclass(frozen=True)
class Sampling:
    """How the judged pictures are made; picture i has the seed `first_seed + i`."""

    steps: int = 20
    guidance_scale: float = 2.5
    count: int = 200
    batch: int = 20
    first_seed: int = 0


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True, file_okay=False), default=MODEL)
@click.option("--steps", default=Sampling.steps, show_default=True)
@click.option("--guidance", default=Sampling.guidance_scale, show_default=True)
@click.option("--count", default=Sampling.count, show_default=True, help="Held-out prompts, at most 200.")
@click.option("--sheet", type=click.Path(path_type=Path), help="A PNG of all pictures with their prompts.")
@click.option("--failures", is_flag=True, help="List the prompts whose picture is wrong.")
@click.option("--save", is_flag=True, help="Write the figures to score.json in the model's folder.")
def main(model: Path, steps: int, guidance: float, count: int, sheet: Path | None, failures: bool, save: bool) -> None:
    sampling = Sampling(steps, guidance, count)
    start = time.monotonic()
    pairs = []
    for pair in generate(model, sampling):
        pairs.append(pair)
        if len(pairs) % sampling.batch == 0:
            click.echo(f"{len(pairs)} of {count} pictures, {time.monotonic() - start:.0f} s", err=True)
    score = judge(pairs)
    click.echo(f"colour {score.color:.1%}  shape {score.shape:.1%}  both {score.both:.1%}  scene {score.scene:.1%}")
    if failures:
        for i, (prompt, picture) in enumerate(pairs):
            verdict = compare(picture, read_caption(prompt))
            if not verdict.scene:
                click.echo(f"{i:3d} {prompt}: {verdict}")
    if sheet:
        contact_sheet(pairs).save(sheet)
    if save:
        versions = {name: version(name) for name in ("torch", "diffusers", "transformers")}
        record = {"format": FORMAT, "score": asdict(score), "sampling": asdict(sampling), "versions": versions}
        (model / "score.json").write_text(json.dumps(record, indent=2) + "\n")


def generate(model: Path, sampling: Sampling) -> Iterator[tuple[str, np.ndarray]]:
    """Each held-out prompt with its picture, uint8 (128, 128, 3), by Diffusers in float32 on the CPU."""
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(model, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    prompts = [prompt for prompt, _ in held_out(sampling.count)]
    for first in range(0, len(prompts), sampling.batch):
        batch = prompts[first : first + sampling.batch]
        pictures = pipeline(
            batch,
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance_scale,
            generator=[torch.Generator("cpu").manual_seed(sampling.first_seed + first + i) for i in range(len(batch))],
            output_type="np",
        ).images
        yield from zip(batch, np.rint(pictures * 255).astype(np.uint8), strict=True)


if __name__ == "__main__":
    main()
