"""A result in tables: for the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aquatint.terminal import size_text, table
from aquatint.tests.gpu.bars import HELD_AGAINST, bars
from aquatint.tests.gpu.summary import Figure, figures

NOTHING = "-"


@dataclass(frozen=True)
class Table:
    """Rows of words under a title; note: a line above them."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(result: Mapping[str, Any]) -> list[Table]:
    """All that have rows."""
    made = (
        _machine(result),
        _compiles(result),
        _pictures(result),
        _figures(result),
        _bars(result),
        _said(result),
        _failures(result),
    )
    return [one for one in made if one.rows]


def as_text(result: Mapping[str, Any]) -> str:
    """For a terminal."""
    return "\n\n".join("\n".join(filter(None, (t.title, t.note, table(t.rows, t.header)))) for t in tables(result))


def as_markdown(result: Mapping[str, Any]) -> str:
    """For a page."""
    pieces = []
    for one in tables(result):
        lines = [_line(one.header), _line(("---",) * len(one.header)), *map(_line, one.rows)]
        pieces.append("\n\n".join(filter(None, (f"## {one.title}", one.note, "\n".join(lines)))))
    return "\n\n".join(["# Proof on a GPU", *pieces]) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _machine(result: Mapping[str, Any]) -> Table:
    facts, settings = result["environment"], result["settings"]
    if not facts:
        return Table("Machine", (), ())
    gpu = facts["gpu"]
    rows = [
        ("GPU", f"{gpu['name']} ({gpu['architecture']}), {size_text(gpu['total_bytes'])}" if gpu else "none asked for"),
        ("driver", f"{gpu['driver'] or 'unknown'}, for CUDA {gpu['cuda_driver']}" if gpu else NOTHING),
        ("processor", f"{facts['cpu']}, {facts['cores']} cores"),
        ("system", f"{facts['system']}, Python {facts['python']}"),
        ("packages", ", ".join(f"{name} {version}" for name, version in facts["packages"].items())),
        ("commit", facts["commit"] or "no clone"),
        ("began", result["began"]),
        ("asked", f"{settings['steps']} steps, {settings['repeats']} timed pictures{', quick' * settings['quick']}"),
        ("GPU memory by", facts["vram_by"] or "nothing here; pip install nvidia-ml-py" if gpu else NOTHING),
    ]
    if facts["baselines_left_out"]:
        rows.append(("baselines", f"left out: {facts['baselines_left_out']}"))
    return Table("Machine", ("what", "here"), tuple(rows))


def _compiles(result: Mapping[str, Any]) -> Table:
    rows = []
    for entry in _done(result, "compile"):
        made = entry["result"]
        errors = [part["quality"].get("relative_error") for part in made["components"].values()]
        worst = max((error for error in errors if error is not None), default=None)
        rows.append((
            entry["model"], entry["target"], entry["profile"], str(entry["batch"]), f"{made['seconds']:.1f} s",
            str(made["pieces_in_cache"]), _size(made["peak_bytes"]), _size(_peak(entry["vram"])),
            _size(made["bundle_bytes"]), f"{made['psnr_db']:.1f} dB", NOTHING if worst is None else f"{worst:.2g}",
        ))  # fmt: skip
    header = (
        "model", "target", "profile", "batch", "compile", "pieces before", "memory", "GPU memory", "bundle",
        "golden PSNR", "worst relative error",
    )  # fmt: skip
    note = (
        "Against Diffusers in float32. Pieces before: of earlier compiles in the cache, which this one may have used."
    )
    return Table("Compiles", header, tuple(rows), note)


def _pictures(result: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            one["profile"], one["what"], one["against"], one["call"], f"{one['psnr_db']:.1f} dB",
            f"{one['least_db']:.0f} dB" if one["least_db"] else NOTHING, "yes" if one["alike"] else "NO",
        )
        for one in result["pictures"]
    )  # fmt: skip
    return Table("Pictures", ("bundle", "target", "against", "call", "PSNR", "at least", "alike"), rows)


def _figures(result: Mapping[str, Any]) -> Table:
    found = figures(result)
    base = {one.model: one for one in reversed(found) if not one.ours}
    base |= {one.model: one for one in found if one.name == HELD_AGAINST}
    rows = tuple(_figure(one, base.get(one.model)) for one in found)
    header = (
        "model", "by", "options", "first picture, cold", "warm", "step, median", "90 %", "picture", "GPU memory",
        "engine's own", "step ratio", "memory ratio", "first ratio",
    )  # fmt: skip
    held = ", ".join(dict.fromkeys(one.name for one in base.values()))
    how = ", ".join(dict.fromkeys(one.counted for one in found if one.counted))
    note = "From the start of a process; one picture with guidance, and the device is waited for in each step."
    note += f" Ratios: over {held}." if held else ""
    return Table("Figures", header, rows, note + (f" GPU memory: the peak of {how}." if how else ""))


def _figure(one: Figure, base: Figure | None) -> tuple[str, ...]:
    ratios = [
        _ratio(getattr(one, field), None if base is None else getattr(base, field))
        for field in ("step_ms", "vram_bytes", "cold_s")
    ]
    return (
        one.model, one.name, one.variant, _seconds(one.cold_s), _seconds(one.warm_s), f"{one.step_ms:.2f} ms",
        f"{one.step_p90_ms:.2f} ms", _seconds(one.picture_s), _size(one.vram_bytes), _size(one.engine_bytes), *ratios,
    )  # fmt: skip


def _bars(result: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            bar.model,
            bar.name,
            bar.what,
            f"{bar.most:.2f}",
            NOTHING if bar.ratio is None else f"{bar.ratio:.3f}",
            bar.verdict,
        )
        for bar in bars(figures(result))
    )
    return Table("Bars", ("model", "target", "what", "at most", "ratio", "verdict"), rows, f"Over {HELD_AGAINST}.")


def _said(result: Mapping[str, Any]) -> Table:
    """What our log said while pictures were printed, such as that a network ran without a CUDA graph."""
    said: dict[tuple[str, str], None] = {}
    for entry in (*_done(result, "pictures"), *_done(result, "figures")):
        by = entry.get("target") or f"{entry['name']}, {entry['variant']}"
        said |= dict.fromkeys((by, line) for line in entry["result"]["said"])
    return Table("Said while printing", ("by", "what"), tuple(said))


def _failures(result: Mapping[str, Any]) -> Table:
    told = ("stage", "model", "target", "name", "profile", "variant", "run", "options")
    rows = tuple(
        (" ".join(str(entry[key]) for key in told if entry.get(key)), entry["error"])
        for entry in result["stages"]
        if not entry["ok"]
    )
    return Table("Failed", ("stage", "why"), rows)


def _done(result: Mapping[str, Any], stage: str) -> list[dict[str, Any]]:
    return [entry for entry in result["stages"] if entry["stage"] == stage and entry["ok"]]


def _peak(vram: Mapping[str, Any] | None) -> int | None:
    if vram is None:
        return None
    own: int | None = vram["process_bytes"]
    return vram["growth_bytes"] if own is None else own


def _size(size_bytes: float | None) -> str:
    return NOTHING if size_bytes is None else size_text(size_bytes)


def _seconds(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{seconds:.2f} s"


def _ratio(ours: float | None, theirs: float | None) -> str:
    return NOTHING if ours is None or not theirs else f"{ours / theirs:.3f}"
