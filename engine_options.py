"""How a bundle's engines run, as options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from .runtime.session import EngineOptions

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--device", help="Another device of the bundle's engine than it was built for, such as cpu."),
    click.option("--threads", type=click.IntRange(1), help="Threads of a CPU.  [default: the engine's choice]"),
    click.option(
        "--low-memory", is_flag=True, help="Keep one component in memory at a time; each is loaded again at every call."
    ),
    click.option(
        "--device-memory",
        type=click.IntRange(1),
        metavar="MB",
        help="Of an NVIDIA GPU, for each component: for weights that a TensorRT plan can stream, or for ONNX Runtime's "
        "arena.  [default: what is free]",
    ),
    click.option("--no-graphs", is_flag=True, help="Launch an NVIDIA GPU's work piece by piece, without CUDA graphs."),
    click.option(
        "--conv-search",
        type=click.Choice(("exhaustive", "heuristic", "default")),
        help="How ONNX Runtime chooses convolutions on an NVIDIA GPU: trying all is slower at first, and may be faster "
        "then.  [default: heuristic]",
    ),
)


def engine_options(command: Command) -> Command:
    """The options; the command takes them as `**words`, for `read_engine_options`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_engine_options(words: dict[str, Any]) -> tuple[str | None, EngineOptions]:
    """The device that was named, and the options, taken out of words."""
    from .runtime.session import EngineOptions

    device: str | None = words.pop("device")
    searched = words.pop("conv_search")
    options = EngineOptions(
        threads=words.pop("threads"),
        residency="one" if words.pop("low_memory") else "all",
        device_memory_mb=words.pop("device_memory"),
        graphs=not words.pop("no_graphs"),
        **({} if searched is None else {"conv_search": searched}),
    )
    return device, options
