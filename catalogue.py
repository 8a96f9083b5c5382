"""Targets and schemes: what there is, and what of it is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .runtime import session
from .runtime.errors import MissingPackage
from .runtime.target import Target
from .terminal import table


def describe_targets() -> list[dict[str, Any]]:
    """Every target that can be built for: whether this machine has it, and what it is, or why it has not."""
    from .targets import all_targets

    rows = []
    for word in all_targets():
        target = Target.parse(word)
        row: dict[str, Any] = {"target": word, "engine": "not installed", "here": False, "device": ""}
        try:
            row["engine"] = " ".join(f"{k} {v}" for k, v in session.backend(target).versions().items())
            row["here"] = target.device in session.devices(target)
            of_backend = session.backend(target)
            row["device"] = (of_backend.describe if row["here"] else of_backend.absence)(target.device)
        except MissingPackage as reason:
            row["device"] = str(reason)
        rows.append(row)
    return rows


def targets_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same as a table; devices of a backend that are alike share a line."""
    lines: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        backend, device = str(row["target"]).split(":")
        said = str(row["device"] or ("" if row["here"] else "not on this machine"))
        lines.setdefault((backend, row["engine"], "yes" if row["here"] else "no", said), []).append(device)
    cells = [(f"{backend}:{_shortened(devices)}", *rest) for (backend, *rest), devices in lines.items()]
    return table(cells, ("target", "engine", "runs here", "device"))


def _shortened(devices: Sequence[str]) -> str:
    """any, ampere, sm75 ... sm121"""
    return ", ".join(devices) if len(devices) < 5 else f"{', '.join(devices[:3])} ... {devices[-1]}"


def describe_schemes() -> list[dict[str, Any]]:
    """Every scheme: what it stores, its bits per weight, its settings, and the targets that run it."""
    from .quantize.scheme import NONE, find_scheme, names
    from .targets import all_targets, backend

    targets = [Target.parse(word) for word in all_targets()]
    rows = []
    for name in names():
        if name != NONE:
            scheme = find_scheme(name)
            runs = [str(target) for target in targets if name in backend(target).schemes(target.device)]
            rows.append({
                "scheme": name, "bits": scheme.BITS, "what": scheme.DESCRIPTION, "settings": dict(scheme.SETTINGS),
                "calibrated": scheme.calibrated(scheme.SETTINGS), "targets": runs,
            })  # fmt: skip
    return rows


def schemes_markdown() -> str:
    """The same as the table of docs/quantization.md; targets of a backend that run the same schemes share a column."""
    from .targets import all_targets, backend

    columns: dict[tuple[str, tuple[str, ...]], list[Target]] = {}
    for target in map(Target.parse, all_targets()):
        columns.setdefault((target.backend, backend(target).schemes(target.device)), []).append(target)
    names = [f"{of}:{', '.join(target.device for target in targets)}" for (of, _), targets in columns.items()]
    lines = ["| scheme | bits | what it stores | calibrated | " + " | ".join(names) + " |"]
    lines.append("|---|---|---|---|" + "---|" * len(names))
    for row in describe_schemes():
        runs = " | ".join("yes" if row["scheme"] in schemes else "" for _, schemes in columns)
        asks = "yes" if row["calibrated"] else ""
        lines.append(f"| `{row['scheme']}` | {row['bits']:g} | {row['what']} | {asks} | {runs} |")
    return "\n".join(lines)
