"""A measurement as tables for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from ..profiling.profile import Profile
from ..profiling.tables import by_block, by_kind, explained, texts
from ..roofline.floor import floor
from ..roofline.peaks import Peaks
from .difference import Judgement
from .fits import fit
from .machine import one_line
from .measured import Measured, Point, Run, Series
from .result import Result, stages
from .statistics import Ratio, paired_ratios, summarize

MOST_ROWS = 15  # of a profile; its file and the page's picture have all

Rows = list[tuple[str, ...]]
Table = tuple[Rows, tuple[str, ...]]


@dataclass(frozen=True)
class Part:
    """A table under its title.  note: what its figures mean, in a sentence."""

    title: str
    rows: Rows
    head: tuple[str, ...]
    note: str = ""


def parts(result: Result, every_stage: bool) -> Iterator[Part]:
    """All tables that there is anything for, the most wanted first."""
    run = result.run
    rows, head = overview(run)
    yield Part(
        "Times and memory", rows, head, "Medians; ratios are of neighbouring pictures, with their 95 % interval."
    )
    if every_stage:
        for measured, series in zip(run.subjects, run.points[0].series, strict=True):
            if series.samples:
                yield Part(f"Stages of {measured.order.name}", *breakdown(series))
    if any(measured.quality for measured in run.subjects):
        yield Part("Quality", *quality(run), f"Against {_reference(run)}; the mean, and the worst in brackets.")
    if len(run.points) > 1:
        yield Part("Sweep", *sweep(run))
    if fits := scaling(run):
        yield Part("How a step grows", *fits)
    if run.peaks is not None:
        yield Part("Roofline", *roofline(run, run.peaks), _peaks(run.peaks))
    if any(measured.floor for measured in run.subjects):
        yield Part("Least memory", *floors(run), "Found by trying: it prints with the one, and not with the other.")
    for measured in run.subjects:
        if measured.profile is not None:
            yield from _profiled(measured.order.name, measured.profile)
    if any(
        point.moments and series.ends_s and result.patience.minutes for point in run.points for series in point.series
    ):
        yield Part("Over the minutes", *sustained(run), "The last third of the pictures over the first.")


def _profiled(name: str, profile: Profile) -> Iterator[Part]:
    """One picture's operators, by kind and by block."""
    rows, head = texts(explained(profile))
    parts = ", ".join(f"{row[0]} {row[3]} ms of which {row[1]}" for row in rows)
    note = f"One picture, after one that warmed up. Waited for, and told by the engine: {parts}."
    for title, found in (("Operators", by_kind(profile)), ("Blocks", by_block(profile))):
        rows, head = texts(found)
        yield Part(f"{title} of {name}", rows[:MOST_ROWS], head, note if title == "Operators" else "")


def overview(run: Run) -> Table:
    """One line for each subject."""
    first = run.points[0].series[0]
    rows: Rows = []
    for measured, series in zip(run.subjects, run.points[0].series, strict=True):
        name, opened, memory = measured.order.name, measured.opened, measured.memory
        who = (name, opened.target if opened else "-", opened.profile if opened else "-")
        if not series.samples:
            rows.append((*who, *("-",) * 7, measured.failed or series.skipped or "", "", ""))
            continue
        times = stages(series)
        picture, step = summarize(times["picture"]), summarize(times["step"])
        rows.append((
            *who, _cold(measured), _warm(measured), _seconds(measured.first_picture_s), _seconds(step.p50),
            _seconds(step.p90), _seconds(picture.p50), _rate(60 * _images(run) / picture.p50),
            "" if series is first or not first.samples else _ratio(_over(first, series)),
            _size(memory.peak if memory else None), _size(memory.steady if memory else None),
        ))  # fmt: skip
    head = (
        "subject", "target", "profile", "cold load", "warm load", "first picture", "step", "step p90", "picture",
        "per minute", "ratio", "peak", "steady",
    )  # fmt: skip
    return _with_vram(run, rows, head)


def breakdown(series: Series) -> Table:
    """One line for each stage of a subject."""
    rows: Rows = []
    for name, samples in stages(series).items():
        found = summarize(samples)
        spread = "" if found.spread is None else f"{100 * found.spread:.1f} %"
        quantiles = (_seconds(value) for value in (found.p50, found.p90, found.p99))
        rows.append((name, *quantiles, _seconds(found.min), _seconds(found.max), spread, str(found.count)))
    return rows, ("stage", "p50", "p90", "p99", "least", "most", "spread", "samples")


def quality(run: Run) -> Table:
    """One line for each subject that was compared."""
    rows: Rows = []
    for measured in run.subjects:
        found = measured.quality
        if found is None:
            continue
        alike = [one.ssim for one in found.pictures if one.ssim is not None]
        flips = [one.flip for one in found.pictures if one.flip is not None]
        decibels = [one.psnr_db for one in found.pictures]
        rows.append((
            measured.order.name, _both(decibels, min(decibels), 1, " dB"), _both(alike, min(alike, default=0.0), 4),
            _both(flips, max(flips, default=0.0), 4), str(len(found.pictures)),
            "" if found.judged is None else f"{found.judged} of 200",
        ))  # fmt: skip
    return rows, ("subject", "PSNR", "SSIM", "FLIP", "pictures", "drawn right")


def sweep(run: Run) -> Table:
    """One line for each point and subject."""
    rows: Rows = []
    for point in run.points:
        call = point.call
        first = point.series[0]
        for measured, series in zip(run.subjects, point.series, strict=True):
            size = (str(call.images), f"{call.height}x{call.width}", str(call.steps), measured.order.name)
            if not series.samples:
                rows.append((*size, "-", "-", "-", "", (series.skipped or "").removeprefix(f"{measured.order.name}: ")))
                continue
            step, picture = (summarize(stages(series)[name]).p50 for name in ("step", "picture"))
            ratio = _ratio(_over(first, series)) if series is not first and first.samples else ""
            each = _rate(60 * call.images / picture)
            rows.append((*size, _seconds(step), _seconds(picture), each, ratio, ""))
    return rows, ("batch", "size", "steps", "subject", "step", "picture", "per minute", "ratio", "")


def scaling(run: Run) -> Table | None:
    """One line for each subject: its time of a step as a function of the work; None where there is too little of it."""
    rows: Rows = []
    for index, measured in enumerate(run.subjects):
        places = [(p.call.pixels / 1e6, p.series[index]) for p in run.points if p.series[index].samples]
        steps = [statistics.median(stages(series)["step"]) for _, series in places]
        found = fit([place for place, _ in places], steps)
        if found is not None:
            rows.append((
                measured.order.name, _seconds(found.fixed_s), _seconds(found.per_megapixel_s), f"{found.exponent:.2f}",
                f"{100 * found.worst:.0f} %",
            ))  # fmt: skip
    return (rows, ("subject", "fixed", "each megapixel", "exponent", "worst error")) if rows else None


def roofline(run: Run, peaks: Peaks) -> Table:
    """One line for each component whose work was counted: its time against the least that it could take here."""
    rows: Rows = []
    for measured, series in zip(run.subjects, run.points[0].series, strict=True):
        for name, work in measured.work.items():
            seconds = call_seconds(series, name)
            if seconds is None:
                continue
            least = floor(work, peaks)
            kinds = ", ".join(f"{part.kind} {part.type} {part.operations / 1e9:.3g}" for part in work.products)
            rows.append((
                measured.order.name, name, _seconds(seconds), _seconds(least.seconds), f"{seconds / least.seconds:.2f}",
                least.limit, f"{work.operations / seconds / 1e9:.3g}", f"{work.operations / 1e9:.3g}", kinds,
            ))  # fmt: skip
    return rows, ("subject", "component", "a call", "floor", "over it", "held by", "Gop/s", "Gop", "of which")


def call_seconds(series: Series, name: str) -> float | None:
    """The median time of one call of a component; None where its calls were not seen."""
    if not series.samples or name not in series.samples[0].calls:
        return None
    if name in series.samples[0].stages:
        return statistics.median(sample.stages[name] / sample.calls[name] for sample in series.samples)
    if series.samples[0].host is None:
        return None
    inside = [
        (step - host) * (len(sample.steps) + 1) / sample.calls[name]
        for sample in series.samples
        for step, host in zip(sample.steps, sample.host or (), strict=True)
    ]
    return statistics.median(inside)


def floors(run: Run) -> Table:
    """One line for each subject whose least memory was looked for."""
    rows: Rows = [
        (measured.order.name, _size(measured.floor.ran), _size(measured.floor.failed))
        for measured in run.subjects
        if measured.floor is not None
    ]
    return rows, ("subject", "ran with", "failed with")


def sustained(run: Run) -> Table:
    """One line for each subject: the end of a long run against its beginning."""
    rows: Rows = []
    point = run.points[0]
    for measured, series in zip(run.subjects, point.series, strict=True):
        third = len(series.samples) // 3
        if third == 0:
            continue
        totals = [sample.total for sample in series.samples]
        early, late = statistics.median(totals[:third]), statistics.median(totals[-third:])
        rows.append((
            measured.order.name, _seconds(early), _seconds(late), f"{late / early:.3f}", str(len(totals)),
            _clocks(point),
        ))  # fmt: skip
    return rows, ("subject", "first third", "last third", "ratio", "pictures", "clock and heat")


def foot(result: Result) -> list[str]:
    """What it was measured on, what may have spoilt it, and what went wrong."""
    run = result.run
    lines = [one_line(result.machine)]
    lines += [warning] if (warning := run.load.warning()) else []
    lines += [measured.failed for measured in run.subjects if measured.failed]
    lines += ["It was stopped before the times were settled."] if run.stopped else []
    return lines


def differences(judgement: Judgement) -> Table:
    """One line for each stage of two runs."""
    rows: Rows = []
    for verdict in judgement.verdicts:
        sure = verdict.too_few or ("slower" if verdict.slower else "")
        bounds = (
            "" if verdict.low is None or verdict.high is None else f"{_share(verdict.low)} to {_share(verdict.high)}"
        )
        rows.append((
            verdict.stage, _seconds(verdict.old_s), _seconds(verdict.new_s), _share(verdict.change), bounds,
            f"{verdict.p_slower:.2g}", sure,
        ))  # fmt: skip
    return rows, ("stage", "old", "new", "change", "99 % bounds", "p", "")


def _peaks(peaks: Peaks) -> str:
    products = ", ".join(f"{peak.type} {peak.operations_s / 1e9:.0f} ({peak.engine})" for peak in peaks.products)
    memory = f"reading {peaks.read_bytes_s / 1e9:.0f} GB/s, copying {peaks.copy_bytes_s / 1e9:.0f} GB/s"
    return f"Peaks seen here, in Gop/s of large matrix products: {products}; {memory}."


def _with_vram(run: Run, rows: Rows, head: tuple[str, ...]) -> Table:
    """A column more where there is a GPU."""
    if not any(measured.vram or measured.device_bytes for measured in run.subjects):
        return rows, head
    return [(*row, _vram(measured)) for row, measured in zip(rows, run.subjects, strict=True)], (*head, "VRAM")


def _vram(measured: Measured) -> str:
    if measured.vram is not None:
        return _size(measured.vram.process_bytes or measured.vram.growth_bytes)
    return _size(sum(measured.device_bytes.values()) or None)


def _images(run: Run) -> int:
    return run.points[0].call.images


def _cold(measured: Measured) -> str:
    cold = measured.loads.cold if measured.loads else ()
    return _seconds(statistics.median(load.ready_s for load in cold)) if cold else "-"


def _warm(measured: Measured) -> str:
    return _seconds(statistics.median(load.ready_s for load in measured.loads.warm)) if measured.loads else "-"


def _reference(run: Run) -> str:
    return next(measured.quality.reference for measured in run.subjects if measured.quality)


def _clocks(point: Point) -> str:
    """Of the processors at the beginning and the end, where the system tells."""
    if not point.moments:
        return ""
    first, last = point.moments[0].state, point.moments[-1].state
    pairs = ((first.current_mhz, last.current_mhz, "MHz"), (first.temperature_c, last.temperature_c, "C"))
    return ", ".join(f"{a:.0f} to {b:.0f} {unit}" for a, b, unit in pairs if a is not None and b is not None)


def _over(first: Series, series: Series) -> Ratio:
    count = min(len(first.samples), len(series.samples))
    return paired_ratios(*([sample.total for sample in of.samples[:count]] for of in (first, series)))


def _ratio(ratio: Ratio) -> str:
    bounds = "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.3f} to {ratio.high:.3f})"
    return f"{ratio.median:.3f}{bounds}"


def _both(values: list[float], worst: float, places: int, unit: str = "") -> str:
    if not values:
        return "-"
    return f"{statistics.mean(values):.{places}f} ({worst:.{places}f}){unit}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if abs(value) < 1:
        return f"{1e3 * value:.3g} ms"
    return f"{value:.3g} s" if abs(value) < 1000 else f"{value:.0f} s"


def _size(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"


def _share(value: float) -> str:
    return f"{100 * value:+.1f} %"


def _rate(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
