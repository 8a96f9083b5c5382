"""What the layers of a component were given in recorded calls, read from disk one layer at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..runtime.errors import BadModel
from .gptq import Feedback, feedback_of
from .observe import HIGH, LOW, ROWS

WATCHED = "watched.json"  # layer -> the value that it reads


@dataclass(frozen=True)
class Activation:
    """What one layer was given.

    rows: for each call (rows, channels) float32, at places drawn anew for each call.
    low, high: (calls, channels), the extremes over all of the call.
    """

    rows: tuple[np.ndarray, ...]
    low: np.ndarray
    high: np.ndarray

    @cached_property
    def feedback(self) -> Feedback:
        """How rounding errors of weights are made up for, as quantize.gptq has it."""
        return feedback_of(np.concatenate(self.rows))

    def times(self, factors: np.ndarray) -> Activation:
        """Channel by channel.  factors: (channels,) positive."""
        return Activation(tuple(rows * factors for rows in self.rows), self.low * factors, self.high * factors)


class Activations:
    """A folder of recordings: WATCHED, and the outputs of an observed graph, one .npz for each call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._values: dict[str, str] = json.loads((folder / WATCHED).read_text(encoding="utf-8"))
        self._last: tuple[str, Activation] | None = None  # layers that share a value come one after the other

    @property
    def calls(self) -> list[Path]:
        """The recordings, in the order in which they were made."""
        return sorted(self.folder.glob("*.npz"))

    def value(self, layer: str) -> str | None:
        """The name of the value that the layer reads; None where it was not watched."""
        return self._values.get(layer)

    def of(self, layer: str) -> Activation | None:
        """What the layer was given, or None where that was not watched.  Raises BadModel for a broken recording."""
        name = self._values.get(layer)
        if name is None or not self.calls:
            return None
        if self._last is None or self._last[0] != name:
            self._last = None
            self._last = name, self._read(name)
        return self._last[1]

    def _read(self, name: str) -> Activation:
        rows, low, high = [], [], []
        for file in self.calls:
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    rows.append(_channels_last(arrays[ROWS + name]).astype(np.float32))
                    low.append(arrays[LOW + name])
                    high.append(arrays[HIGH + name])
            except (OSError, ValueError, KeyError, EOFError, BadZipFile) as reason:
                raise BadModel(f"{file} is damaged: {reason}; remove it from the cache and compile again") from reason
        return Activation(tuple(rows), np.stack(low), np.stack(high))


def write_call(folder: Path, index: int, outputs: dict[str, np.ndarray]) -> None:
    """Keep what an observed graph told of one call; its rows in 16 bits where they fit."""
    kept = {}
    for name, array in outputs.items():
        narrow = name.startswith(ROWS) and np.abs(array).max(initial=0) < np.finfo(np.float16).max
        kept[name] = array.astype(np.float16) if narrow else array
    np.savez(folder / f"{index:04d}.npz", allow_pickle=False, **kept)


def _channels_last(rows: np.ndarray) -> np.ndarray:
    """(batch, channels, rows) -> (batch * rows, channels)"""
    return rows if rows.ndim == 2 else rows.transpose(0, 2, 1).reshape(-1, rows.shape[1])
