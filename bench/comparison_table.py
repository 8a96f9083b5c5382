"""A comparison as tables of words: for the terminal, the page and the picture alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .comparison_figures import Comparison, Entry, Figure, Spread, Summary
from .comparison_plan import JUDGED

BYTES = (("GB", 1e-9), ("MB", 1e-6), ("kB", 1e-3))
SECONDS = (("s", 1.0), ("ms", 1e3))
NOTHING = "-"


@dataclass(frozen=True)
class Table:
    """rows: as many cells as the header.  numbers: whether a column's cells are read from the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[bool, ...]


@dataclass(frozen=True)
class Column:
    """cells: one for each bundle."""

    title: str
    cells: tuple[str, ...]
    number: bool = True


def figures(found: Comparison) -> Table:
    """One row for each bundle; columns of what nobody measured are left out."""
    entries = found.entries
    sizes = [entry.size_bytes for entry in entries]
    unit, scale = _unit(sizes, BYTES)
    names = tuple(f"{e.name} (reference)" if e is entries[0] else e.name for e in entries)
    columns = [
        Column("bundle", names, number=False),
        *([] if len({entry.target for entry in entries}) == 1 else [_targets(entries)]),
        Column("quantized", tuple(", ".join(entry.schemes) for entry in entries), number=False),
        Column("precision", tuple(", ".join(entry.precisions) for entry in entries), number=False),
        Column("size", tuple(f"{_digits(scale * size)} {unit}" for size in sizes)),
        Column("ratio", tuple(_digits(entry.size_ratio) for entry in entries)),
        *_measured("load", [entry.load_s for entry in entries], SECONDS, spread=False)[:1],
        *_measured("step", [entry.step_s for entry in entries], SECONDS, spread=True),
        *_measured("memory", [entry.peak_bytes for entry in entries], BYTES, spread=False),
        *_measured("private", [entry.anonymous_bytes for entry in entries], BYTES, spread=False)[:1],
        Column("PSNR", tuple(_psnr(found, entry) for entry in entries)),
        Column("SSIM", tuple(_ssim(found, entry) for entry in entries)),
    ]
    if any(entry.judged_right is not None for entry in entries):
        columns.append(Column("judge", tuple(_judged(entry) for entry in entries)))
    if any(entry.failed for entry in entries):
        columns.append(Column("failed because", tuple(entry.failed or "" for entry in entries), number=False))
    return _table(columns)


def parts(found: Comparison) -> Table:
    """The size of each component, one row for each, one column for each bundle."""
    names = list(dict.fromkeys(name for entry in found.entries for name in entry.components))
    unit, scale = _unit([size for entry in found.entries for size in entry.components.values()], BYTES)
    columns = [Column(f"size in {unit}", tuple(names), number=False)]
    for entry in found.entries:
        sizes = (entry.components.get(name) for name in names)
        columns.append(Column(entry.name, tuple(NOTHING if s is None else _digits(scale * s) for s in sizes)))
    return _table(columns)


def notes(found: Comparison) -> tuple[str, ...]:
    """How the figures were measured, a sentence or two on each."""
    reference, rounds = found.reference, _counted(found.rounds, "round")
    said = [
        f"{reference} is the reference: ratios, PSNR and SSIM are against it.",
        f"Measured on {found.machine} in {rounds}, every bundle in a process of its own, one after the other.",
        "Figures are the median of the rounds; in brackets the smallest and the largest. A ratio is taken within each "
        "round, against the reference of the same round.",
        "Load: from opening the bundle until it is ready to print. Step: of a round, the median of all denoising steps "
        "but each picture's first, which holds the reading of the prompt too.",
        "Memory: the most that its process ever had. Private: the most of it after a step that was no page of a file.",
        f"PSNR and SSIM: the mean of {_counted(len(found.prompts), 'picture')} of {found.size[0]}x{found.size[1]} "
        f"with {found.steps} steps and seed {found.seed}, and the worst. 100 dB: no pixel differs.",
    ]
    if any(entry.judged_right is not None for entry in found.entries):
        said.append(f"Judge: how many of the demo model's {JUDGED} held-out prompts are drawn right.")
    return tuple(said)


def caption(found: Comparison, entry: Entry, index: int) -> str:
    """What stands below a bundle's picture."""
    if entry is found.entries[0]:
        return "reference"
    if entry.likeness is None:
        return ""
    alike = entry.likeness.ssim
    return f"{entry.likeness.psnr_db[index]:.1f} dB" + (f", SSIM {alike[index]:.3f}" if alike else "")


def _measured(
    title: str, found: Sequence[Figure | None], units: Sequence[tuple[str, float]], spread: bool
) -> list[Column]:
    """The column of values and the one of ratios; none where nothing was measured."""
    known = [figure.value.median for figure in found if figure is not None]
    if not known:
        return []
    unit, scale = _unit(known, units)
    values, ratios = [], []
    for figure in found:
        values.append(NOTHING if figure is None else _spread_words(figure.value, scale, f" {unit}", spread))
        ratio = None if figure is None else figure.ratio
        ratios.append(NOTHING if ratio is None else _spread_words(ratio, 1, "", spread))
    return [Column(title, tuple(values)), Column("ratio", tuple(ratios))]


def _spread_words(spread: Spread, scale: float, unit: str, whole: bool) -> str:
    median, low, high = (_digits(scale * value) for value in (spread.median, spread.low, spread.high))
    return f"{median}{unit} ({low} to {high})" if whole and low != high else f"{median}{unit}"


def _targets(entries: Sequence[Entry]) -> Column:
    return Column("target", tuple(entry.target for entry in entries), number=False)


def _psnr(found: Comparison, entry: Entry) -> str:
    if entry is found.entries[0]:
        return "reference"
    return NOTHING if entry.likeness is None else _summed(entry.likeness.psnr_summary, " dB", 1)


def _ssim(found: Comparison, entry: Entry) -> str:
    if entry is found.entries[0]:
        return "reference"
    alike = None if entry.likeness is None else entry.likeness.ssim_summary
    return NOTHING if alike is None else _summed(alike, "", 3)


def _summed(summary: Summary, unit: str, places: int) -> str:
    return f"{summary.mean:.{places}f}{unit} ({summary.worst:.{places}f})"


def _judged(entry: Entry) -> str:
    return NOTHING if entry.judged_right is None else f"{entry.judged_right} of {JUDGED}"


def _table(columns: Sequence[Column]) -> Table:
    rows = tuple(zip(*(column.cells for column in columns), strict=True))
    return Table(tuple(column.title for column in columns), rows, tuple(column.number for column in columns))


def _unit(values: Sequence[float], units: Sequence[tuple[str, float]]) -> tuple[str, float]:
    """One unit for a whole column, in which the largest is 1 or more."""
    return next((unit for unit in units if max(values) * unit[1] >= 1), units[-1])


def _digits(value: float) -> str:
    """Three digits that mean something, without powers of ten."""
    places = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{places}f}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
