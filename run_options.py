"""The options of `aquatint run`, under headings; most are the fields of runtime.request.Request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Numbers(click.ParamType):
    """ "999,500" -> (999.0, 500.0)."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 999,500,1", param, ctx)


class Seeds(click.ParamType):
    """ "7" -> 7; "1,2,3" -> [1, 2, 3]."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | list[int]:
        try:
            seeds = [int(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is no whole number, and no list of them such as 1,2,3", param, ctx)
        return seeds[0] if len(seeds) == 1 else seeds


class Pair(click.ParamType):
    """ "1024x768" -> (1024, 768), by whichever separator."""

    name = "pair"

    def __init__(self, separator: str, example: str) -> None:
        self.separator = separator
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        try:
            first, second = value.split(self.separator)
            return int(first), int(second)
        except ValueError:
            self.fail(f"{value!r} is no pair of whole numbers such as {self.example}", param, ctx)


def _option(*words: str, **settings: Any) -> click.Option:
    return click.Option(list(words), **settings)


def _choice(*words: str) -> click.Choice:
    return click.Choice(words)


FILE = {"type": click.Path(path_type=Path), "metavar": "FILE"}
NUMBERS = {"type": Numbers(), "metavar": "A,B,..."}
SIZE = {"type": Pair("x", "1024x768"), "metavar": "HEIGHTxWIDTH"}
CORNER = {"type": Pair(",", "0,64"), "metavar": "TOP,LEFT"}

# Every option says nothing by default, so that what a user gave can be told from what was left to the bundle.
HEADINGS: dict[str, list[click.Option]] = {
    "The result": [
        _option("-o", "--output", **FILE, help="[default: out.png; with --like, NAME-again.png; arrays end in .npy]"),
        _option("--like", **FILE, help="Make this picture again, a PNG that `aquatint run` wrote.  BUNDLE and PROMPT "
                "may be left out; what you give anyway replaces what the picture says."),
        _option("--height", type=int, metavar="PIXELS", help="[default: the start picture's, or the bundle's]"),
        _option("--width", type=int, metavar="PIXELS", help="[default: the start picture's, or the bundle's]"),
        _option("--batch", "num_images_per_prompt", type=int, metavar="N", help="Pictures to make.  [default: 1]"),
        _option("--output-type", type=_choice("pil", "np", "latent"), help="pil: pictures.  np: numbers from 0 to 1.  "
                "latent: what the VAE would decode, to go on from with --image.  The last two are one .npy file."),
        _option("--vae-tiling/--no-vae-tiling", default=None, help="Run the VAE in tiles: less memory for "
                "large pictures."),
    ],
    "The text": [
        _option("-n", "--negative-prompt", metavar="TEXT", help="What the picture should not show."),
        _option("--long-prompt", type=_choice("cut", "chunks"), help="Of a prompt over 75 tokens (about 60 words), "
                "cut keeps the first 75; chunks reads all of it.  [default: cut]"),
        _option("--clip-skip", type=int, metavar="N", help="Leave out the last N layers of the text encoder."),
        _option("--prompt-2", metavar="TEXT", help="SDXL: another prompt for the second text encoder."),
        _option("--negative-prompt-2", metavar="TEXT", help="SDXL: another negative prompt for it."),
    ],
    "The picture to start from": [
        _option("--image", **FILE, help="Go on from this picture; or from an .npy file of --output-type latent or np."),
        _option("--mask", "mask_image", **FILE, help="Paint only what is white in this picture, and keep the rest."),
        _option("--strength", type=float, metavar="SHARE", help="How much to change it: near 0 a little, 1 all of it."
                "  [default: 0.8; SDXL 0.3; with --mask 1]"),
        _option("--padding-mask-crop", type=int, metavar="PIXELS", help="Paint only the part around the mask, at full "
                "size, with so much space around it; for small things in large pictures."),
    ],
    "The way from noise to picture": [
        _option("-s", "--steps", "num_inference_steps", type=int, metavar="N", help="More take longer, and usually "
                "look better.  [default: the bundle's]"),
        _option("-g", "--guidance-scale", type=float, metavar="SCALE", help="How closely to follow the prompt.  "
                "[default: the bundle's]"),
        _option("--guidance-rescale", type=float, metavar="SHARE", help="From 0 to 1: less glare at large scales."),
        _option("--scheduler", metavar="NAME|FILE", help="A name such as euler, Diffusers' class name, or a "
                "scheduler_config.json.  [default: the bundle's]"),
        _option("--timesteps", **NUMBERS, help="A schedule of your own, descending, in place of --steps."),
        _option("--sigmas", **NUMBERS, help="The same as noise levels."),
        _option("--eta", type=float, metavar="SHARE", help="Noise that ddim and tcd add.  [default: 0]"),
        _option("--denoising-end", type=float, metavar="SHARE", help="SDXL: stop here, such as 0.8, and leave the "
                "rest to the refiner; with --output-type latent."),
        _option("--denoising-start", type=float, metavar="SHARE", help="SDXL's refiner: begin there, with --image."),
    ],
    "The noise": [
        _option("--seed", type=Seeds(), metavar="N[,N,...]", help="The same seed gives the same picture; one for all, "
                "or one for each picture.  [default: a random one]"),
        _option("--generator", type=_choice("cpu", "cuda"), help="Whose noise: a seed gives other noise in PyTorch on "
                "a GPU.  Runs on any machine.  [default: cpu]"),
        _option("--noise-dtype", type=_choice("float32", "float16"), help="As that pipeline's.  [default: float32]"),
        _option("--latents", **FILE, help="Unit noise as .npy, in place of the first that the seed would give."),
    ],
    "What SDXL is told of the picture": [
        _option("--original-size", **SIZE, help="Small ones look scaled up.  [default: the picture's]"),
        _option("--crops-coords-top-left", **CORNER, help="Where it was cut out of the original.  [default: 0,0]"),
        _option("--target-size", **SIZE, help="[default: the picture's]"),
        _option("--negative-original-size", **SIZE, help="The same for the negative prompt."),
        _option("--negative-crops-coords-top-left", **CORNER),
        _option("--negative-target-size", **SIZE),
        _option("--aesthetic-score", type=float, metavar="SCORE", help="Refiner: how beautiful.  [default: 6]"),
        _option("--negative-aesthetic-score", type=float, metavar="SCORE", help="[default: 2.5]"),
    ],
}  # fmt: skip


class RunCommand(click.Command):
    """A command whose help lists these options under their headings, and all others under the last one."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings = {option.name: heading for heading, options in HEADINGS.items() for option in options}
        rows: dict[str, list[tuple[str, str]]] = {heading: [] for heading in [*HEADINGS, "The machine, and this help"]}
        for option in self.get_params(ctx):
            row = option.get_help_record(ctx)
            # Newer clicks have a row for arguments too, which the first line of the help shows already.
            if row is not None and isinstance(option, click.Option):
                rows[headings.get(option.name, [*rows][-1])].append(row)
        for heading, listed in rows.items():
            with formatter.section(heading):
                formatter.write_dl(listed)


def run_options() -> list[click.Parameter]:
    """Every option under the headings, in their order."""
    return [option for options in HEADINGS.values() for option in options]
