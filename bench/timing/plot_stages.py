"""Where the time of a picture goes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..drawing import GRAY, INK, new_figure, styled
from .measured import Run, Sample, Series
from .plot_words import columns, name_rows, names_of, rows_px, seconds, seconds_unit, spans

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DENOISER, HOST, STEPS, REST = "denoiser", "host: scheduler, guidance", "steps, not told apart", "rest"
# Paler than those of subjects, which are something else.
FIXED = {DENOISER: "#4a6a8a", HOST: "#b23a48", STEPS: "#7189a0", REST: "#a8a8a8"}
FAMILIES = (("text", ("#c2a14d", "#d6bd7f", "#e3d3a8")), ("vae", ("#6f9a7e", "#9fbfab")), ("", ("#8b7aa5", "#b07a55")))
SHARES_FROM = 12.0  # times the shortest picture: then only shares can be seen
LABELED = 0.09  # of the axis: narrower parts have no words in them


def spent(series: Series) -> dict[str, float]:
    """Seconds of the median picture by what they were spent on, in the order in which they come; they add up to it.

    Of every picture the shares are taken, and their means.  The first step is taken to be as long as the others.
    """
    total = statistics.median(sample.total for sample in series.samples)
    shares: dict[str, float] = {}
    for sample in series.samples:
        for name, part in _parts(sample).items():
            shares[name] = shares.get(name, 0.0) + part / sample.total / len(series.samples)
    return {name: share * total for name, share in sorted(shares.items(), key=lambda pair: _place(pair[0]))}


@styled
def draw_stages(run: Run) -> Figure | None:
    """A bar for each subject, at the first point; None without samples."""
    found = [spent(series) if series.samples else {} for series in (run.points[0].series if run.points else ())]
    totals = [sum(parts.values()) for parts in found]
    if not any(found):
        return None
    names, shares = names_of(run), spans(totals, SHARES_FROM)
    figure = new_figure(rows_px(names) + 50, "Where the time of a picture goes")
    axes = figure.add_subplot()
    unit, scale = ("%", 1.0) if shares else seconds_unit(totals)
    scales = [100 / total if shares and total else scale for total in totals]
    widest = max(total * scale for total, scale in zip(totals, scales, strict=True))
    lefts = [0.0] * len(found)
    colors = _colors([name for parts in found for name in parts])
    for name, color in colors.items():
        widths = [parts.get(name, 0.0) * scale for parts, scale in zip(found, scales, strict=True)]
        axes.barh(range(len(found)), widths, 0.62, lefts, color=color, label=name)
        for row, width in enumerate(widths):
            if width > LABELED * widest:
                words = seconds(found[row][name])
                axes.text(lefts[row] + width / 2, row, words, ha="center", va="center", color="#ffffff", fontsize=8.5)
            lefts[row] += width
    for row, (left, total) in enumerate(zip(lefts, totals, strict=True)):
        words = seconds(total) if total else "-"
        axes.annotate(
            words, (left, row), (5, 0), textcoords="offset points", va="center", color=INK if total else GRAY,
            gid=f"total {row}",
        )  # fmt: skip
    axes.set_xlim(0, 1.12 * widest)
    axes.set_xlabel(unit)
    if shares:
        axes.set_xticks(range(0, 101, 20))
    axes.set_title("Where the time of a picture goes")
    name_rows(axes, names)
    figure.legend(loc="outside lower center", ncols=columns(colors))
    return figure


def _parts(sample: Sample) -> dict[str, float]:
    found = dict(sample.stages)
    if sample.steps:
        left = max(0.0, sample.total - sum(found.values()) - sum(sample.steps))
        first = min(statistics.median(sample.steps), left)
        steps = sum(sample.steps) + first
        if sample.host is None:
            found[STEPS] = steps
        else:
            outside = steps * sum(sample.host) / sum(sample.steps)
            found |= {DENOISER: steps - outside, HOST: outside}
    # Clocks of different threads may add up to a little more than the whole.
    found[REST] = max(0.0, sample.total - sum(found.values()))
    excess = sum(found.values()) / sample.total
    return {name: part / excess for name, part in found.items()}


def _place(name: str) -> tuple[int, str]:
    order = ("text", "image", "vae_enc", DENOISER, STEPS, HOST, "vae", "", REST)
    if name == REST:
        return len(order), name
    return next(place for place, start in enumerate(order) if name.startswith(start)), name


def _colors(names: Sequence[str]) -> dict[str, str]:
    """Of every part, in the order in which they come."""
    found: dict[str, str] = {}
    for name in sorted(dict.fromkeys(names), key=_place):
        shades = next(shades for start, shades in FAMILIES if name.startswith(start))
        taken = sum(color in shades for color in found.values())
        found[name] = FIXED.get(name) or shades[min(taken, len(shades) - 1)]
    return found
