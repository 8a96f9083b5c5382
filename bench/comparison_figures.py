"""What a comparison finds: figures with their spread, ratios to the first bundle, and how like the pictures are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from ..runtime.bundle import Bundle
from ..runtime.likeness import SSIM_SIDE, ssim
from ..runtime.pixels import psnr_db
from .comparison_plan import Plan
from .comparison_trial import Trial


@dataclass(frozen=True)
class Spread:
    """The median of several, and how far they lie apart."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Figure:
    """One measured thing.  value: over the rounds.  ratio: to the first bundle's of the same round, over the rounds."""

    value: Spread
    ratio: Spread | None


@dataclass(frozen=True)
class Summary:
    """Of a figure over all pictures."""

    mean: float
    worst: float


@dataclass(frozen=True)
class Likeness:
    """Pictures against the first bundle's, each, and summed up.  ssim: empty, None for pictures too small for it."""

    psnr_db: tuple[float, ...]
    ssim: tuple[float, ...]
    psnr_summary: Summary
    ssim_summary: Summary | None


@dataclass(frozen=True)
class Entry:
    """One bundle of the comparison.

    schemes, precisions: of its components, each word once.  size_bytes: of all its files.  components: the same for
    each component, and "other".  step_s: of each round, the median of its steps.
    peak_bytes, anonymous_bytes: as in Trial.  likeness: None for the first bundle itself, and without pictures.
    judged_right: of JUDGED prompts.  failed: why it was not measured to the end; then figures may be None.
    """

    name: str
    folder: str
    target: str
    schemes: tuple[str, ...]
    precisions: tuple[str, ...]
    size_bytes: int
    size_ratio: float
    components: dict[str, int]
    load_s: Figure | None
    step_s: Figure | None
    peak_bytes: Figure | None
    anonymous_bytes: Figure | None
    likeness: Likeness | None
    judged_right: int | None
    failed: str | None


@dataclass(frozen=True)
class Comparison:
    """The whole of it; the first entry is the reference.  pictures: of each entry, one for each prompt, or none."""

    model: str
    machine: str
    prompts: tuple[str, ...]
    seed: int
    steps: int
    rounds: int
    size: tuple[int, int]
    entries: tuple[Entry, ...]
    pictures: tuple[tuple[Image.Image, ...], ...]

    @property
    def reference(self) -> str:
        """What ratios, PSNR and SSIM are against."""
        return self.entries[0].name


def entry_of(
    plan: Plan, index: int, found: Sequence[Sequence[Trial]], likeness: Likeness | None, failed: str | None
) -> Entry:
    """The entry of bundle `index`.  found: of each bundle its trials, one for each round until it failed."""
    bundle, mine, first = plan.bundles[index], found[index], found[0]
    components = bundle.manifest.components
    sizes, reference_sizes = component_bytes(bundle), component_bytes(plan.bundles[0])
    return Entry(
        name=plan.names[index],
        folder=str(bundle.folder),
        target=str(bundle.target),
        schemes=tuple(dict.fromkeys(part.scheme for part in components)),
        precisions=tuple(dict.fromkeys(part.precision for part in components)),
        size_bytes=sum(sizes.values()),
        size_ratio=sum(sizes.values()) / sum(reference_sizes.values()),
        components=sizes,
        load_s=_figure([t.load_s for t in mine], [t.load_s for t in first]),
        step_s=_figure([statistics.median(t.step_s) for t in mine], [statistics.median(t.step_s) for t in first]),
        peak_bytes=_figure([t.peak_bytes for t in mine], [t.peak_bytes for t in first]),
        anonymous_bytes=_figure([t.anonymous_bytes for t in mine], [t.anonymous_bytes for t in first]),
        likeness=likeness,
        judged_right=mine[0].judged_right if mine else None,
        failed=failed,
    )


def likeness(pictures: Sequence[Image.Image], references: Sequence[Image.Image]) -> Likeness | None:
    """Each picture against its reference; None where either side has none."""
    pairs = list(zip(pictures, references))
    if not pairs:
        return None
    decibels = tuple(psnr_db(*pair) for pair in pairs)
    alike = tuple(ssim(*pair) for pair in pairs if min(pair[0].size) >= SSIM_SIDE)
    return Likeness(decibels, alike, _summary(decibels), _summary(alike) if alike else None)


def component_bytes(bundle: Bundle) -> dict[str, int]:
    """The size of each component's files, and of the rest under "other": tokenizer, golden images."""
    files = bundle.manifest.files
    names = [part.name for part in bundle.manifest.components]
    found = {name: sum(f.size_bytes for path, f in files.items() if path.startswith(f"{name}/")) for name in names}
    return found | {"other": sum(f.size_bytes for f in files.values()) - sum(found.values())}


def _figure(values: Sequence[float | None], references: Sequence[float | None]) -> Figure | None:
    """values, references: one for each round; a round that either side lacks has no ratio."""
    known = [value for value in values if value is not None]
    ratios = [a / b for a, b in zip(values, references) if a is not None and b]
    return Figure(_spread(known), _spread(ratios) if ratios else None) if known else None


def _summary(values: Sequence[float]) -> Summary:
    return Summary(statistics.mean(values), min(values))


def _spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))
