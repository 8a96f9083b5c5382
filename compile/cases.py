"""What the checkpoint's networks were given and gave in real denoising, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IN, OUT = "in.", "out."


@dataclass(frozen=True)
class Case:
    """One call of a network: its inputs and its outputs by name."""

    feeds: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


def write_case(folder: Path, component: str, case: Case) -> None:
    """Add a case under `folder`/`component`."""
    place = folder / component
    place.mkdir(parents=True, exist_ok=True)
    arrays = {IN + name: array for name, array in case.feeds.items()}
    arrays |= {OUT + name: array for name, array in case.outputs.items()}
    np.savez(place / f"{len(list(place.iterdir())):04d}.npz", allow_pickle=False, **arrays)


def read_cases(folder: Path, component: str) -> Iterator[Case]:
    """The cases of a component, in the order they were written."""
    for file in sorted((folder / component).glob("*.npz")):
        with np.load(file, allow_pickle=False) as arrays:
            feeds = {name.removeprefix(IN): arrays[name] for name in arrays.files if name.startswith(IN)}
            yield Case(feeds, {name.removeprefix(OUT): arrays[name] for name in arrays.files if name.startswith(OUT)})
