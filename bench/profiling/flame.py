"""A profile as a picture: bars as wide as what they take, each block's parts below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.errors import MissingPackage, OutputFailed
from .profile import Profile
from .stacks import Frame, stack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {
    "convolution": "#2a78b5", "attention": "#d9541e", "matmul": "#e8a33d", "norm": "#4c9f70", "elementwise": "#8e6bbf",
    "reorder": "#b23a48", "transpose": "#d88c9a", "softmax": "#f2c14e", "conversion": "#5fb8b2", "resize": "#9c755f",
    "join and split": "#6b8e23", "quantization": "#c060a1", "shape": "#9aa5b1", "lookup": "#3b5b92",
}  # fmt: skip
OTHER = "#b0b0b0"
BLOCK_ALPHA = 0.32  # blocks are as pale as this, in the color of what takes the most of them
DEPTH = 4  # unet's down_blocks.0, attentions.0, transformer_blocks.0, attn1
NAMED = 0.005  # kinds of at least this share stand in the legend by their names
PIXELS, DPI = 1600, 100
LETTER, LINE = 6.6, 14.0  # pixels, of the labels' font
ROW = 84.0  # pixels


@dataclass(frozen=True)
class Bar:
    """left, width: seconds.  row: 0 for components.  color: of the kind of operator that takes the most of it."""

    row: int
    left: float
    width: float
    name: str
    color_of: str
    block: bool


def check_flame(file: Path) -> None:
    """Raises MissingPackage without matplotlib, OutputFailed where the file can't be."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as reason:
        raise MissingPackage('the picture of a profile needs matplotlib; pip install "aquatint[bench]"') from reason
    if file.suffix not in (".png", ".svg") or not file.parent.is_dir():
        raise OutputFailed(f"can't draw {file}; give the name of a .png or .svg in a folder that exists")


def bars(profile: Profile, depth: int | None = DEPTH) -> list[Bar]:
    """Row by row from the left; a block's parts fill its width: blocks as they run, then its own operators."""
    return list(_inside(stack(profile, depth), 0, 0.0))


def draw_flame(profile: Profile, file: Path, title: str = "", depth: int | None = DEPTH) -> None:
    """Draw into a .png or .svg.  title: what was profiled.  depth: of blocks, None for all."""
    flame(profile, title, depth).savefig(file, dpi=DPI)


def flame(profile: Profile, title: str = "", depth: int | None = DEPTH) -> Figure:
    """The picture; blocks are pale, operators are not."""
    from matplotlib.figure import Figure

    found = bars(profile, depth)
    rows = 1 + max((bar.row for bar in found), default=0)
    figure = Figure(figsize=(PIXELS / DPI, (ROW * rows + 170) / DPI), layout="constrained")
    axes = figure.add_subplot()
    unit, scale = ("s", 1.0) if profile.seconds >= 10 else ("ms", 1e3)
    axes.xaxis.set_major_formatter(lambda value, _: f"{scale * value:g}")
    axes.set_xlim(0, max(profile.seconds, 1e-9))
    axes.set_ylim(rows, 0)
    axes.set_yticks([])
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.set_xlabel(unit)
    waited = sum(profile.measured.values())
    explained = f"{_ms(profile.seconds)} in operators, of {_ms(waited)} in networks"
    axes.set_title(": ".join(filter(None, (title, explained))), fontsize=12, loc="left")
    _draw(axes, found, profile.seconds)
    _legend(axes, profile)
    _write(axes, found, profile.seconds)
    return figure


def _inside(frame: Frame, row: int, left: float) -> Iterator[Bar]:
    blocks = [part for part in frame.inside.values() if part.kind is None]
    ends = sorted((part for part in frame.inside.values() if part.kind), key=lambda part: -part.seconds)
    for part in (*blocks, *ends):
        yield Bar(row, left, part.seconds, part.name, part.main_kind(), part.kind is None)
        yield from _inside(part, row + 1, left)
        left += part.seconds


def _draw(axes: Axes, found: Sequence[Bar], total: float) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    patches = [Rectangle((bar.left, bar.row + 0.02), bar.width, 0.96) for bar in found]
    colors = [(COLORS.get(bar.color_of, OTHER), BLOCK_ALPHA if bar.block else 1.0) for bar in found]
    # Thin bars would be all edge.
    edges = [0.6 if bar.width > 0.004 * total else 0.15 for bar in found]
    axes.add_collection(PatchCollection(patches, facecolors=colors, edgecolors="white", linewidths=edges))


def _write(axes: Axes, found: Sequence[Bar], total: float) -> None:
    """Names where they fit: along the bar, else upright in it."""
    if not total:
        return
    for bar in found:
        width = 0.97 * PIXELS * bar.width / total - 6
        for text, upright in _labels(bar):
            across, along = (LINE, LETTER * len(text)) if upright else (LETTER * max(map(len, text.split("\n"))), 0)
            if across <= width and along <= ROW - 8:
                axes.text(
                    bar.left + bar.width / 2, bar.row + 0.5, text, fontsize=8.5, ha="center", va="center",
                    rotation=90 if upright else 0, color="black" if bar.block else "white",
                )  # fmt: skip
                break


def _labels(bar: Bar) -> Iterator[tuple[str, bool]]:
    """What to write, the best first, and whether upright."""
    short = bar.name.replace("_blocks", "").replace("_block", "").replace("attentions", "attn")
    for name in dict.fromkeys((bar.name, short)):
        yield f"{name}\n{_ms(bar.width)}", False
    for name in dict.fromkeys((bar.name, short)):
        yield name, False
    for name in dict.fromkeys((bar.name, short)):
        yield name, True


def _legend(axes: Axes, profile: Profile) -> None:
    from matplotlib.patches import Patch

    total = profile.seconds or 1.0
    shares: dict[str, float] = {}
    for operator in profile.operators:
        shares[operator.kind] = shares.get(operator.kind, 0.0) + operator.seconds / total
    named = sorted((kind for kind in shares if shares[kind] >= NAMED), key=lambda kind: -shares[kind])
    handles = [Patch(color=COLORS.get(kind, OTHER), label=f"{kind}  {100 * shares[kind]:.1f} %") for kind in named]
    if rest := [share for share in shares.values() if share < NAMED]:
        handles.append(Patch(color=OTHER, label=f"{len(rest)} more  {100 * sum(rest):.1f} %"))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=6, frameon=False, fontsize=9.5)


def _ms(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"
