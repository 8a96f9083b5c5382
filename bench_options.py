"""The options of `aquatint bench`, and what they come to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .runtime.errors import BadRequest

if TYPE_CHECKING:
    from .bench.timing.call import Call
    from .bench.timing.measurement import Wish
    from .bench.timing.order import Order
    from .bench.timing.quality import Gallery
    from .bench.timing.result import Result
    from .bench.timing.summary import Part

PROMPT = "a large red circle on a white background"
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMG]i?|)B?")
KINDS = ("auto", "group", "data", "space")

Command = TypeVar("Command", bound=Callable[..., Any])


def what_is_printed(command: Command) -> Command:
    """Options of the call, and of the calls of a sweep."""
    return _with(
        command,
        click.option("--prompt", default=PROMPT, show_default=True, help="Of every picture."),
        click.option(
            "--steps", type=click.IntRange(3), default=10, show_default=True, help="Denoising steps of a picture."
        ),
        click.option("--size", help="Pixels: 512, or height x width as 512x768.  [default: the first bundle's]"),
        click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Pictures in one call."),
        click.option("--guidance-scale", type=float, help="[default: the first bundle's]"),
        click.option("--seed", default=0, show_default=True, help="Of every picture."),
        click.option("--sweep", help="More calls, in every combination: 'batch=1,2 size=256,512x768 steps=4,20'."),
    )


def how_long(command: Command) -> Command:
    """Options of the patience."""
    return _with(
        command,
        click.option("--least", type=click.IntRange(1), default=5, show_default=True, help="Pictures of each."),
        click.option("--most", type=click.IntRange(1), default=30, show_default=True, help="After which it ends."),
        click.option(
            "--spread", type=float, default=2.0, show_default=True,
            help="Per cent of itself to which a median, and a ratio, is to be known.",
        ),
        click.option(
            "--limit", "limit_minutes", type=float, default=10.0, show_default=True,
            help="Minutes of a call's rounds, after which it ends, though not before --least.",
        ),
        click.option("--minutes", type=float, help="Go on so long, to see whether heat or a quota slows it down."),
    )  # fmt: skip


def who_else(command: Command) -> Command:
    """Options of the engines and of the rivals."""
    return _with(
        command,
        click.option("--device", help="Another device of the bundles' engine than they were built for, such as cpu."),
        click.option("--threads", type=click.IntRange(1), help="Threads of a CPU.  [default: the engine's choice]"),
        click.option(
            "--baseline", "baselines", multiple=True, metavar="KIND[:DTYPE][=FOLDER]",
            help="Measure a rival too: diffusers or diffusers-compile (fp32, bf16, fp16), or optimum or openvino-genai "
            "with the FOLDER that Optimum exported.",
        ),
        click.option("--checkpoint", help="Of the baselines.  [default: what the first bundle was compiled from]"),
        click.option(
            "--baseline-python", "pythons", multiple=True, metavar="[KIND=]PATH",
            help="The interpreter of the baselines' environment.  [default: this one]",
        ),
    )  # fmt: skip


def what_else(command: Command) -> Command:
    """Options of what is measured beside times."""
    return _with(
        command,
        click.option("--loads", type=click.IntRange(0), default=1, show_default=True, help="Cold loads of each."),
        click.option("--quality", is_flag=True, help="Compare pictures with the checkpoint's own, the golden images."),
        click.option(
            "--prompts", "prompts_file", type=click.Path(path_type=Path, dir_okay=False),
            help="Compare these pictures, a prompt a line, with those of --baseline diffusers:fp32.",
        ),
        click.option("--judge", is_flag=True, help="For the demo model: how many of 200 prompts are drawn right."),
        click.option("--memory-floor", is_flag=True, help="Find the least memory that each prints with, by trying."),
        click.option("--memory-limit", metavar="SIZE", help="Give each process no more memory, such as 2GB."),
        click.option(
            "--memory-by", type=click.Choice(KINDS), default="auto", show_default=True,
            help="Limit resident memory (group, for root), memory of its own (data), or address space.",
        ),
        click.option("--roofline", is_flag=True, help="Hold every stage against what this machine could reach."),
        click.option("--profile", is_flag=True, help="The time of every operator and block, from the engine."),
        click.option("--stages", is_flag=True, help="Show every stage of every bundle."),
    )  # fmt: skip


def where_to(command: Command) -> Command:
    """Options of the files, given to the command as `files`."""

    @wraps(command)
    def gathered(
        json_file: Path | None, csv_file: Path | None, html_file: Path | None, png_file: Path | None, **words: Any
    ) -> Any:
        return command(files=Files(json_file, csv_file, html_file, png_file), **words)

    return _with(
        gathered,
        _file("json", "Write everything there, for programs and `bench compare`."),
        _file("csv", "Write every sample there."),
        _file("html", "Write a page with tables and plots there."),
        _file("png", "Draw a summary there."),
    )  # type: ignore[return-value]


@dataclass(frozen=True)
class Files:
    """Where a result goes; None: not there."""

    json: Path | None = None
    csv: Path | None = None
    html: Path | None = None
    png: Path | None = None

    def check(self) -> None:
        """Raises OutputFailed, MissingPackage for what could not be written in the end."""
        from .runtime.errors import OutputFailed

        for file in (self.json, self.csv, self.html, self.png):
            if file is not None and not file.absolute().parent.is_dir():
                raise OutputFailed(f"there is no folder {file.parent} for {file.name}; make it first")
        if self.html is not None or self.png is not None:
            from .bench.timing.plots import check_drawing

            check_drawing("--html and --png")

    def write(self, result: Result, tables: Sequence[Part]) -> None:
        """Each whole or not at all.  Raises OutputFailed."""
        from .bench.timing.result import csv_text, write_result
        from .runtime.pixels import write_whole

        if self.json is not None:
            write_result(result, self.json)
        if self.csv is not None:
            text = csv_text(result)
            write_whole(self.csv, lambda file: file.write_text(text, encoding="utf-8"))
        if self.html is not None or self.png is not None:
            from .bench.timing.report import write_page, write_picture

            if self.html is not None:
                write_page(result, tables, self.html)
            if self.png is not None:
                write_picture(result, self.png)


def planned(bundles: Sequence[Path], words: dict[str, Any]) -> tuple[list[Order], list[Call], Wish]:
    """Who is measured, with which calls, and what for; checked as far as can be without an engine."""
    from .bench.timing.measurement import Wish
    from .bench.timing.orders import Machinery, baseline_orders, bundle_orders, checkpoint_of
    from .bench.timing.patience import Patience

    try:
        least, most = words["least"], max(words["least"], words["most"])
        patience = Patience(words["spread"] / 100, least, most, 60 * words["limit_minutes"], words["minutes"])
    except ValueError as reason:
        raise BadRequest(str(reason)) from reason
    orders = bundle_orders(bundles, Machinery(words["device"], words["threads"]))
    checkpoint = words["checkpoint"] or checkpoint_of(bundles[0])
    orders += baseline_orders(words["baselines"], checkpoint, words["pythons"], orders[0])
    calls = _calls(bundles[0], words)
    wish = Wish(
        patience, words["loads"], _gallery(bundles[0], calls[0], orders, words), *_limits(words),
        meter=_meter(), roofline=words["roofline"], profile=words["profile"],
    )  # fmt: skip
    return orders, calls, wish


def _calls(bundle: Path, words: dict[str, Any]) -> list[Call]:
    from .bench.timing.call import Call
    from .bench.timing.sweep import parse_size, sweep
    from .runtime.manifest import read_manifest

    manifest = read_manifest(bundle)
    usual = manifest.defaults
    scale = usual.guidance_scale if words["guidance_scale"] is None else words["guidance_scale"]
    size = parse_size(words["size"]) if words["size"] else manifest.shapes.default_size
    call = Call(words["prompt"], words["seed"], words["steps"], scale, *size, words["batch"], usual.scheduler)
    return sweep(words["sweep"] or "", call)


def _gallery(bundle: Path, call: Call, orders: Sequence[Order], words: dict[str, Any]) -> Gallery | None:
    from .bench.comparison_plan import check_judge
    from .bench.timing.quality import check_flip, golden_gallery, prompt_gallery
    from .runtime.manifest import read_manifest

    if not (words["quality"] or words["prompts_file"] or words["judge"]):
        return None
    check_flip()
    if words["judge"]:
        check_judge(read_manifest(bundle))
    if words["prompts_file"] is None:
        return golden_gallery(bundle, words["judge"])
    exact = [index for index, order in enumerate(orders) if order.kind == "diffusers" and order.dtype == "fp32"]
    return prompt_gallery(call, _prompts(words["prompts_file"]), exact[0] if exact else None, words["judge"])


def _prompts(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as reason:
        raise BadRequest(f"can't read {file}: {reason}") from reason
    if not any(lines):
        raise BadRequest(f"{file} has no prompt; it needs one a line")
    return [line for line in lines if line]


def _limits(words: dict[str, Any]) -> tuple[Any, Any]:
    """The kind of limit by which a floor is looked for, and the limit of all processes."""
    from .bench.timing.memory_group import group_parent
    from .bench.timing.memory_limit import Limit

    kind = words["memory_by"]
    if kind == "auto":
        kind = "group" if group_parent() is not None else "data"
    limit = None if words["memory_limit"] is None else Limit(_bytes(words["memory_limit"]), kind)
    return kind if words["memory_floor"] else None, limit


def _bytes(text: str) -> int:
    found = SIZE.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise BadRequest(f"--memory-limit is {text!r}; it must be a size such as 800MB, 2GB or 1.5GiB")
    return round(float(found[1]) * UNITS[found[2]])


def _meter() -> Any:
    """Of the first NVIDIA GPU; None where there is none, or nobody tells."""
    from .bench.timing.vram import bus_id, open_meter
    from .runtime.cuda.device import first_gpu
    from .runtime.errors import Error

    try:
        return open_meter(bus_id(first_gpu()))
    except Error:
        return None


def _file(kind: str, words: str) -> Any:
    return click.option(f"--{kind}", f"{kind}_file", type=click.Path(path_type=Path, dir_okay=False), help=words)


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
