"""The denoising loop with the latents in the device's memory from its first step to its last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import OutOfMemory
from ..session import check_finite
from ..shapes import Shapes
from .memory import Array
from .program import Program
from .session import DeviceSession

Told = Mapping[str, np.ndarray]  # input name -> (images, ...)


@dataclass(frozen=True)
class Call:
    """One call of the denoiser.  told: its other inputs, (rows, ...).  repeats: how often its rows hold the latents."""

    told: dict[str, Array]
    repeats: int


@dataclass(frozen=True)
class Part:
    """The images of one call.  rows: which of the run's images they are; the last one fills up.  known: without those.

    terms: (terms, elements) float32, as in Program.
    """

    rows: np.ndarray
    known: int
    terms: Array
    calls: tuple[Call, ...]


class ResidentRun:
    """A run of a program.  Use it as a context manager: its memory is given back at the end.

    timesteps: (steps,), what the denoiser is told.  latents: (images, channels, h, w), the first.
    tellings: the denoiser's other inputs, once, or for guidance without the prompt and with it.
    draw: unit noise of the shape of the latents.
    """

    def __init__(
        self,
        session: DeviceSession,
        program: Program,
        timesteps: np.ndarray,
        latents: np.ndarray,
        tellings: Sequence[Told],
        shapes: Shapes,
        draw: Callable[[], np.ndarray],
    ) -> None:
        self._session, self._program, self._draw = session, program, draw
        self._memory = session.memory
        self._taken: list[Array] = []
        self._shape = (shapes.batch, *latents.shape[1:])
        self._timesteps = self._put(timesteps.astype(np.float32))
        self._told, self._left = self._put(program.told), self._put(program.left)
        self._result = self._room(self._shape)
        self._parts = [
            self._part(start, latents, tellings, shapes.guidance == "split")
            for start in range(0, len(latents), shapes.batch)
        ]

    def __enter__(self) -> ResidentRun:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.wait()
        for array in self._taken:
            self._memory.free(array)
        self._taken.clear()

    def steps(self) -> Iterator[int]:
        """Do the steps, yielding the number of each when it is asked for, and done."""
        for step, first in enumerate(self._program.answers):
            noises = [self._draw() for _ in self._program.noises[step]]
            with self._memory.lock:
                for part in self._parts:
                    self._predict(part, step, first)
                    for term, noise in zip(self._program.noises[step], noises, strict=True):
                        self._memory.write(self._term(part, term), noise[part.rows])
                self._memory.wait()
            yield step

    def latents(self, step: int) -> np.ndarray:
        """What a step left: (images, channels, h, w) float32.  Raises NonFinite."""
        assert self._taken, "the run is over, and its memory is given back"
        found = []
        with self._memory.lock:
            for part in self._parts:
                self._memory.combine(self._left.rows(step, step + 1), part.terms, self._result)
                found.append(self._memory.read(self._result)[: part.known])
        latents = np.concatenate(found)
        check_finite(latents, f"unet, step {step + 1} of {len(self._program.answers)}, or one before it")
        return latents

    def _predict(self, part: Part, step: int, term: int) -> None:
        """Have the denoiser answer for a step's latents; each answer becomes a term."""
        batch = self._shape[0]
        for call in part.calls:
            rows = batch * call.repeats
            shapes = {name: array.shape for name, array in call.told.items()}
            buffers = self._session.buffers({**shapes, "sample": (rows, *self._shape[1:]), "timestep": (1,)})
            sample = buffers.inputs["sample"]
            self._memory.combine(self._told.rows(step, step + 1), part.terms, sample.rows(0, batch))
            for repeat in range(1, call.repeats):
                self._memory.copy(sample.rows(0, batch), sample.rows(repeat * batch, (repeat + 1) * batch))
            self._memory.copy(self._timesteps.rows(step, step + 1), buffers.inputs["timestep"])
            for name, array in call.told.items():
                self._memory.copy(array, buffers.inputs[name])
            self._session.enqueue(buffers)
            # Terms lie one behind the other, as the rows of one call's two answers do.
            self._memory.copy(buffers.outputs["out_sample"], part.terms.rows(term, term + call.repeats))
            term += call.repeats

    def _part(self, start: int, latents: np.ndarray, tellings: Sequence[Told], split: bool) -> Part:
        batch = self._shape[0]
        rows = np.minimum(np.arange(start, start + batch), len(latents) - 1)
        terms = self._room((self._program.terms, int(np.prod(self._shape))))
        self._memory.write(terms.rows(0, 1), latents[rows])
        groups = [[telling] for telling in tellings] if split else [list(tellings)]
        calls = [
            Call({name: self._put(np.concatenate([t[name][rows] for t in group])) for name in group[0]}, len(group))
            for group in groups
        ]
        return Part(rows, len(latents) - start, terms, tuple(calls))

    def _term(self, part: Part, term: int) -> Array:
        return part.terms.rows(term, term + 1)

    def _put(self, values: np.ndarray) -> Array:
        array = self._room(values.shape, values.dtype)
        self._memory.write(array, values)
        return array

    def _room(self, shape: tuple[int, ...], dtype: np.dtype | type = np.float32) -> Array:
        try:
            self._taken.append(self._memory.allocate(shape, dtype))
        except OutOfMemory:
            self.__exit__()
            raise
        return self._taken[-1]
