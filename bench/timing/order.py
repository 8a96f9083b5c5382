"""Who is measured: a bundle, or what users would take instead of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["bundle", "diffusers", "diffusers-compile", "optimum", "openvino-genai"]


@dataclass(frozen=True)
class Order:
    """name: how tables call it.  folder: the bundle's; of the others the checkpoint's, or what they exported of it.

    dtype: "fp32", "bf16" or "fp16"; None for a bundle, which has its own.  device: as in open_bundle.
    threads: of a CPU, None for the engine's own choice.  python: the interpreter of its environment, None for ours.
    """

    name: str
    kind: Kind
    folder: str
    dtype: str | None = None
    device: str | None = None
    threads: int | None = None
    python: str | None = None
