"""A graph with its layers quantized, one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..runtime.errors import BadModel
from .activations import Activation, Activations
from .assign import Assignment
from .scheme import NONE, find_scheme
from .weights import weight_tensor

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Share:
    """What one scheme has: its layers, their parameters, and their weights' bytes before and after."""

    layers: int = 0
    parameters: int = 0
    before_bytes: int = 0
    after_bytes: int = 0


@dataclass(frozen=True)
class Summary:
    """Scheme -> its share; layers that stay in floats are under "none"."""

    schemes: dict[str, Share]

    @property
    def total(self) -> Share:
        return Share(
            *(sum(values) for values in zip(*(share.__dict__.values() for share in self.schemes.values()), strict=True))
        )


def quantize_model(
    model: ir.Model, assignments: Sequence[Assignment], activations: Activations | None = None
) -> Summary:
    """W -> what its scheme makes of it, for each assignment, in place.

    One weight at a time is in memory: scales are computed here, the codes when the graph is written.
    activations: what calibration recorded, for the schemes that ask.
    Raises BadModel for NaN or infinite weights, and where the graph's opset can't say a scheme; ValueError for a layer
    that the graph has no longer, which leaves the layers before it quantized.
    """
    opset = model.graph.opset_imports.get("", 0)
    for name in sorted({assignment.scheme for assignment in assignments} - {NONE}):
        needed = find_scheme(name).OPSET
        if opset < needed:
            raise BadModel(f"{name} needs a graph of opset {needed} or later, this one has {opset}; export it again")
    shares: dict[str, Share] = {}
    for assignment in assignments:
        before = weight_tensor(model, assignment.layer).nbytes
        after = assignment.size_bytes
        if assignment.scheme != NONE:
            activation = _activation(assignment, activations)
            find_scheme(assignment.scheme).quantize(model, assignment.layer, assignment.settings, activation)
        share = shares.get(assignment.scheme, Share())
        shares[assignment.scheme] = Share(
            share.layers + 1,
            share.parameters + assignment.layer.parameters,
            share.before_bytes + before,
            share.after_bytes + (before if after is None else after),
        )
    return Summary(shares)


def _activation(assignment: Assignment, activations: Activations | None) -> Activation | None:
    if not assignment.calibrated:
        return None
    found = None if activations is None else activations.of(assignment.layer.name)
    if found is None:
        raise BadModel(
            f"{assignment.scheme} needs to know what {assignment.layer.name} is given, and no calibration watched it"
        )
    return found
