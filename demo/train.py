"""Trains the demo model from nothing, about two hours on 2 cores: python -m aquatint.demo.train."""

import copy
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPTokenizer

from . import MODEL, autoencoder, denoiser
from .tokenizer import write_tokenizer


@click.command()
@click.option("--work", type=click.Path(path_type=Path), default=Path("build/demo"), help="Checkpoints and caches.")
@click.option("--model", type=click.Path(path_type=Path), default=MODEL, help="The Diffusers folder to write.")
@click.option("--threads", default=2, show_default=True)
def main(work: Path, model: Path, threads: int) -> None:
    """Train the autoencoder, then the UNet with the text encoder; started again, go on from the last checkpoint."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    for _ in _shown("autoencoder", autoencoder.train(work, autoencoder.AutoencoderTraining())):
        pass
    vae = autoencoder.load(work)
    write_tokenizer(work / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    settings = denoiser.DenoiserTraining()
    for step in _shown("unet", denoiser.train(work, settings, vae, tokenizer)):
        if step % settings.save_every == 0:
            write_model(work, model, vae, tokenizer)
    write_model(work, model, vae, tokenizer)


def write_model(work: Path, model: Path, vae: AutoencoderKL, tokenizer: CLIPTokenizer) -> None:
    """The last checkpoint as a Diffusers folder, weights in float16."""
    unet, text_encoder = denoiser.load(work, tokenizer)
    pipeline = StableDiffusionPipeline(
        vae=copy.deepcopy(vae).half(),
        text_encoder=text_encoder.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=denoiser.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(model)
    # Transformers 5 saves tokenizer.json alone; older ones read vocab.json and merges.txt.
    write_tokenizer(model / "tokenizer")


def _shown(stage: str, losses: Iterable[tuple[int, float]]) -> Iterator[int]:
    """Pass the steps on, printing the mean loss of every fifty."""
    start, recent = time.monotonic(), []
    for step, loss in losses:
        recent.append(loss)
        if step % 50 == 0:
            click.echo(f"{stage} step {step} loss {sum(recent) / len(recent):.4f} {time.monotonic() - start:.0f} s")
            recent.clear()
        yield step


if __name__ == "__main__":
    main()
