"""How a component's floats are stored and computed with, in one word."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UnknownName

PRECISIONS = ("fp32", "fp16", "bf16", "fp16-weights", "bf16-weights")
BITS = {"fp32": 32, "fp16": 16, "bf16": 16}


@dataclass(frozen=True)
class Precision:
    """`fp16` stores weights in 16 bits and computes in 16 bits where the device can; `fp16-weights` computes in 32."""

    weights: str
    math: str

    @classmethod
    def parse(cls, word: str) -> Precision:
        """Read one of PRECISIONS.  Raises UnknownName on any other."""
        if word not in PRECISIONS:
            raise UnknownName(f"unknown precision {word!r}; known: {', '.join(PRECISIONS)}")
        stored, _, only = word.partition("-")
        return cls(stored, "fp32" if only else stored)
