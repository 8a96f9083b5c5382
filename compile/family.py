"""How a checkpoint of one kind falls into components: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ..runtime import lookup
from ..runtime.errors import BadModel
from ..runtime.manifest import TensorSpec

FAMILIES = f"{__package__}.families"
Configs = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Network:
    """One component to be.

    name: of the component.  folder: the Diffusers folder that holds its weights ("vae" for both halves).
    call: from the loaded torch module and the inputs, by name, to the outputs, one tensor or a tuple.
    stage: "text", "denoise" or "image"; networks of one stage are loaded together.
    """

    name: str
    folder: str
    stage: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    call: Callable[..., Any]


@dataclass(frozen=True)
class Anatomy:
    """What a family makes of a checkpoint's configurations; no weight is read for it.

    pipeline: the module in runtime/pipelines.  reference: Diffusers' class that makes the golden images.
    settings: of our pipeline, for the manifest.
    native: usual side of the picture, in pixels.  guidance_scale, steps: what Diffusers' pipeline defaults to.
    guided: classifier-free guidance is possible, so that a call may need two rows for each image.
    """

    pipeline: str
    reference: str
    settings: dict[str, Any]
    networks: tuple[Network, ...]
    tokenizers: tuple[str, ...]
    native: int
    guidance_scale: float
    steps: int
    guided: bool


def find_family(pipeline_class: str) -> ModuleType:
    """The module in compile/families for a Diffusers pipeline class; it has CLASSES and `anatomy(configs)`.

    Raises BadModel, which lists what is known.
    """
    modules = [lookup.find(FAMILIES, name, "family") for name in lookup.names(FAMILIES)]
    for module in modules:
        if pipeline_class in module.CLASSES:
            return module
    known = ", ".join(name for module in modules for name in module.CLASSES)
    raise BadModel(f"the checkpoint is a {pipeline_class}; this version compiles {known}")
