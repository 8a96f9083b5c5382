"""A recipe in TOML: shapes, precision per component, quality budget, defaults of a call."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..runtime.errors import BadProfile, UnknownName
from ..runtime.precision import Precision
from ..runtime.shapes import ShapeRange, Shapes
from ..runtime.tensorrt.options import BuildOptions
from .budget import Budget

FOLDER = Path(__file__).parent
NATIVE = "native"
COMPONENTS = ("text_encoder", "text_encoder_2", "unet", "vae_decoder", "vae_encoder")  # of all families


@dataclass(frozen=True)
class ShapePlan:
    """Picture sizes in pixels: "native" (what the model was trained for), "HEIGHTxWIDTH" words, or two ranges.

    sizes: each is compiled with static shapes; the first is the default.  batch, guidance,
    prompt_chunks: as in runtime.shapes.Shapes.
    """

    sizes: tuple[str, ...] = ()
    height: ShapeRange | None = None
    width: ShapeRange | None = None
    batch: int = 1
    guidance: Literal["batch", "split"] = "batch"
    prompt_chunks: int = Shapes.prompt_chunks

    def __post_init__(self) -> None:
        self.resolve(native=1)  # what it refuses, it refuses for every model

    def resolve(self, native: int) -> Shapes:
        """The shapes for a model whose usual picture is `native` pixels square."""
        ranged = self.height is not None or self.width is not None
        words = self.sizes or (() if ranged else (NATIVE,))
        return Shapes(
            tuple((native, native) if word == NATIVE else _size(word) for word in words),
            self.height, self.width, self.batch, self.guidance, self.prompt_chunks,
        )  # fmt: skip


@dataclass(frozen=True)
class Goldens:
    """The pictures that the bundle is verified with.  images: how many.  steps: of each, few for a large model."""

    images: int = 1
    steps: int = 3

    def __post_init__(self) -> None:
        if self.images < 1 or self.steps < 1:
            raise ValueError(f"need at least 1 image and 1 step, got {self.images} and {self.steps}")


@dataclass(frozen=True)
class CallDefaults:
    """What a call of the pipeline does where it says nothing; None leaves it to the family or the checkpoint."""

    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.num_inference_steps is not None and self.num_inference_steps < 1:
            raise ValueError(f"num_inference_steps is {self.num_inference_steps}; it must be at least 1")
        if self.guidance_scale is not None and not math.isfinite(self.guidance_scale):
            raise ValueError(f"guidance_scale is {self.guidance_scale}; it must be a finite number")


@dataclass(frozen=True)
class Calibration:
    """The pictures that schemes for activations are calibrated with.

    images: how many, of the built-in prompts: for prompts that were not calibrated with, many pictures of few steps
    were better than few of many.  prompts: a file of one's own in their place, as `--calibration` takes it.
    steps: of the first picture; the next have one more each, up to twice as many less one, so that timesteps differ.
    rows: sampled of each layer's input in each call.
    """

    images: int = 8
    steps: int = 3
    rows: int = 48
    seed: int = 0
    prompts: str | None = None

    def __post_init__(self) -> None:
        if self.images < 1 or self.steps < 1 or self.rows < 1:
            raise ValueError(f"need images, steps and rows of at least 1, got {self.images}, {self.steps}, {self.rows}")


@dataclass(frozen=True)
class QuantizeRule:
    """A scheme for some layers; the first rule that matches a layer goes before `quantize`.

    scheme: a name in quantize/schemes, or "none".  layers, component: patterns as of file names.
    kind: "linear", "conv", or None for both.  settings: of the scheme, such as {group_size = 32}.
    """

    scheme: str
    layers: str = "*"
    kind: str | None = None
    component: str = "*"
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """precision: component name, or "default", to a word of runtime.precision.PRECISIONS.

    quantize: component name, or "default", to a scheme of quantize/schemes, or "none", which the rest has.
    tensorrt: how it is to build, where it is the target.
    """

    name: str
    description: str
    budget: Budget
    precision: dict[str, str]
    quantize: dict[str, str] = field(default_factory=dict)
    rules: tuple[QuantizeRule, ...] = ()
    calibration: Calibration = Calibration()
    shapes: ShapePlan = ShapePlan()
    verify: Goldens = Goldens()
    defaults: CallDefaults = field(default_factory=CallDefaults)
    tensorrt: BuildOptions = field(default_factory=BuildOptions)

    def __post_init__(self) -> None:
        for word in self.precision.values():
            Precision.parse(word)
        if "default" not in self.precision:
            raise ValueError('precision needs the key "default"')
        for name, table in (("precision", self.precision), ("quantize", self.quantize)):
            unknown = sorted(set(table) - {"default", *COMPONENTS})
            if unknown:
                raise ValueError(f"{name} has no component {', '.join(unknown)}; known: {', '.join(COMPONENTS)}")

    def precision_of(self, component: str) -> str:
        """The precision word for a component."""
        return self.precision.get(component, self.precision["default"])

    def scheme_of(self, component: str) -> str:
        """The scheme of a component's layers, where no rule says another."""
        return self.quantize.get(component, self.quantize.get("default", "none"))


def names() -> list[str]:
    """The shipped profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_profile(name: str) -> Profile:
    """A shipped profile by name, or any by the path of its file.

    Raises UnknownName where there is none, BadProfile where it can't be read or has a key we do not know.
    """
    from ..runtime.record import from_table

    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise UnknownName(f"unknown profile {name!r}; known: {', '.join(names())}, or the path of a .toml file")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise BadProfile(f"{path}: {reason}") from reason
    return from_table(Profile, {"name": path.stem, **table}, f"profile {path.stem}", BadProfile)


def _size(word: str) -> tuple[int, int]:
    height, _, width = word.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ValueError(f"size {word!r} is not HEIGHTxWIDTH, such as 512x768")
    return int(height), int(width)
