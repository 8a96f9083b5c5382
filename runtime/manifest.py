"""What a bundle says of itself; the reader owns the format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from .errors import BundleCorrupt, BundleTooNew
from .record import from_table, to_table
from .shapes import Dim, ShapeRange, Shapes, size_of
from .tensorrt.options import BuildOptions

FORMAT = 1
NAME = "manifest.json"
DIM = re.compile(r"(batch|height|width|tokens)(/[1-9][0-9]*)?")
PART = re.compile(r"[a-z][a-z0-9_]*")  # the name of a component, which is a folder's too
TILED = ("vae_decoder", "vae_encoder")


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: its dims are ints or words such as `batch` and `height/8`."""

    name: str
    dtype: str
    dims: tuple[Dim, ...]

    def __post_init__(self) -> None:
        wrong = [dim for dim in self.dims if not (DIM.fullmatch(dim) if isinstance(dim, str) else dim > 0)]
        if wrong:
            known = "a dimension is a number, or batch, height, width or tokens, or height/8"
            raise ValueError(f"dims has {wrong[0]!r}; {known}")


@dataclass(frozen=True)
class Bound:
    """What an artifact is tied to that is not portable.

    device: the target's, such as "sm89", or "ampere" for every GPU from that generation on.
    versions: of the engine, package -> release, and no other.
    options: of its build, with all that decided what is in it.
    """

    device: str
    versions: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Component:
    """One network of the pipeline as an artifact, by its Diffusers folder name.

    precision: of its weights and arithmetic, as runtime.precision reads it.  rows: the batch sizes it is called with.
    scheme: how its layers are quantized, by its name in quantize/schemes, "mixed", or "none".
    quality: measured against the checkpoint: relative_error (root mean square, of the reference's) and the like.
    memory: of a device with memory of its own: weights_bytes, and scratch_bytes, which a run writes over.
    bound: to what; None for an artifact that any machine with the engine runs.
    """

    name: str
    artifact: str
    precision: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    rows: tuple[int, ...] = (1,)
    quality: dict[str, float] = field(default_factory=dict)
    scheme: str = "none"
    memory: dict[str, int] = field(default_factory=dict)
    bound: Bound | None = None

    def input_sizes(self, words: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """The shape of each input where the dimension words have these values."""
        return {spec.name: tuple(size_of(dim, words) for dim in spec.dims) for spec in self.inputs}

    def extents(self, shapes: Shapes) -> dict[str, ShapeRange]:
        """What each dimension word may be in a bundle of these shapes.

        The two halves of the VAE may work in tiles, of which the last is as small as what one latent stands for.
        """
        words = shapes.extents(self.rows)
        if self.name not in TILED:
            return words
        dims = [dim for spec in (*self.inputs, *self.outputs) for dim in spec.dims if isinstance(dim, str)]
        least = max(int(dim.partition("/")[2] or 1) for dim in dims)
        return words | {side: replace(words[side], min=min(least, words[side].min)) for side in ("height", "width")}


@dataclass(frozen=True)
class Adapter:
    """A file that was merged into the model's weights.

    scale: of a LoRA.  tokens: that an embedding added, one for each of its vectors; the first is its word.
    """

    kind: Literal["lora", "embedding"]
    name: str
    sha256: str
    scale: float | None = None
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """Where the weights came from and under which licence. sha256: of each weight file, by its relative name."""

    name: str
    family: str
    source: str
    revision: str | None = None
    license: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()


@dataclass(frozen=True)
class File:
    """One file of the bundle."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Golden:
    """A picture that this bundle must be able to print: prompt, settings, and the checkpoint's own result.

    image: a PNG inside the bundle.  psnr_db, ssim, latent_distance: what this bundle reached where it was verified;
    None where it was not measured.
    start, strength: the picture that it goes on from, a PNG inside the bundle too, and how far; None: from noise.
    """

    prompt: str
    seed: int
    steps: int
    guidance_scale: float
    height: int
    width: int
    image: str
    psnr_db: float
    start: str | None = None
    strength: float | None = None
    ssim: float | None = None
    latent_distance: float | None = None


@dataclass(frozen=True)
class Judged:
    """Pictures that show what their prompts say.  right: the bundle's.  reference: the checkpoint's, of as many."""

    right: int
    of: int
    reference: int

    @property
    def lost(self) -> int:
        """On balance; negative where the bundle draws more of them right."""
        return self.reference - self.right


@dataclass(frozen=True)
class Verification:
    """How and where the bundle was held against its reference.

    reference: "diffusers" or "onnx" (a folder of graphs that came without its checkpoint).
    min_psnr_db, min_ssim, max_latent_distance: what every golden image must keep to; None: nothing was asked.
    judge: for the demo model, where its budget asked for it.
    """

    target: str
    reference: str
    min_psnr_db: float
    goldens: tuple[Golden, ...]
    min_ssim: float | None = None
    max_latent_distance: float | None = None
    judge: Judged | None = None


@dataclass(frozen=True)
class Defaults:
    """What a call does where it says nothing.  scheduler: another than the checkpoint's own, by our name, or None."""

    num_inference_steps: int
    guidance_scale: float
    scheduler: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The whole of manifest.json.

    pipeline: name of the module in runtime/pipelines.  settings: what that pipeline needs to know of the model.
    scheduler: the Diffusers configuration.  defaults: of a call.  built_with, requires: package versions.
    files: every other file of the bundle, by relative name.
    build: how the device builds its engines from the ONNX in this bundle; None where nothing is to be built.
    """

    format: int
    model: Model
    target: str
    profile: str
    pipeline: str
    shapes: Shapes
    settings: dict[str, Any]
    scheduler: dict[str, Any]
    defaults: Defaults
    components: tuple[Component, ...]
    verification: Verification
    built_with: dict[str, str]
    requires: dict[str, str]
    files: dict[str, File]
    approximations: tuple[str, ...] = ()
    build: BuildOptions | None = None

    def component(self, name: str) -> Component | None:
        """The component of that name, if the bundle has it."""
        return next((part for part in self.components if part.name == name), None)


def read_manifest(folder: Path) -> Manifest:
    """Read and check `folder`/manifest.json; opens no other file.

    Raises BundleCorrupt where it is missing or not as it should be, BundleTooNew on a later format.
    """
    path = folder / NAME
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as reason:
        raise BundleCorrupt(f"{folder} is no bundle: it has no {NAME}") from reason
    except (OSError, ValueError, RecursionError) as reason:
        raise BundleCorrupt(f"{path} can't be read: {reason}") from reason
    version = table.get("format") if isinstance(table, dict) else None
    if not isinstance(version, int):
        raise BundleCorrupt(f"{path} names no format; it is not one of ours")
    if version > FORMAT:
        raise BundleTooNew(f"{folder} has format {version}, this aquatint reads up to {FORMAT}; install a newer one")
    manifest = from_table(Manifest, table, str(path), BundleCorrupt)
    _check_names(manifest, path)
    return manifest


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write manifest.json into `folder`."""
    text = json.dumps(to_table(manifest), indent=2, ensure_ascii=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def _check_names(manifest: Manifest, path: Path) -> None:
    for name in manifest.files:
        parts = PurePosixPath(name).parts
        if not parts or name != "/".join(parts) or ".." in parts or name[0] == "/" or "\\" in name or ":" in name:
            raise BundleCorrupt(f"{path}: {name!r} is no plain relative name inside the bundle")
    names = [part.name for part in manifest.components]
    for name in names:
        if not PART.fullmatch(name) or names.count(name) > 1:
            raise BundleCorrupt(f"{path}: {name!r} is no name of a component, or that of two")
    goldens = manifest.verification.goldens
    used = [part.artifact for part in manifest.components] + [golden.image for golden in goldens]
    used += [golden.start for golden in goldens if golden.start is not None]
    missing = [name for name in used if name not in manifest.files]
    if missing:
        raise BundleCorrupt(f"{path} names {', '.join(missing)}, which its list of files lacks")
