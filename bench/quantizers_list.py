"""The quantizers that are compared: ours and NNCF's, by what they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OURS, NNCF = "ours", "NNCF"
KINDS = {
    "int8-weights": "8-bit weights",
    "int8": "8-bit weights and activations",
    "int4": "4-bit weights of linear layers, 8-bit weights of convolutions",
    "nf4": "NF4 weights of linear layers, 8-bit weights of convolutions",
}


@dataclass(frozen=True)
class Quantizer:
    """One way to quantize.

    kind: of KINDS, what it is held against.  settings: ours: of the scheme; NNCF: as quantizers_nncf reads them.
    slow: takes minutes even of a small model.
    """

    maker: str
    kind: str
    label: str
    settings: dict[str, Any] = field(default_factory=dict)
    slow: bool = False


QUANTIZERS = (
    Quantizer(OURS, "int8-weights", "int8-weights"),
    Quantizer(NNCF, "int8-weights", "INT8_SYM", {"mode": "INT8_SYM"}),
    Quantizer(NNCF, "int8-weights", "INT8_ASYM", {"mode": "INT8_ASYM"}),
    Quantizer(OURS, "int8", "int8"),
    Quantizer(OURS, "int8", "int8, symmetric", {"symmetric": True}),
    Quantizer(OURS, "int8", "int8, no balance", {"balance": False}),
    Quantizer(OURS, "int8", "int8, symmetric, no balance", {"symmetric": True, "balance": False}),
    Quantizer(OURS, "int8", "int8, extremes", {"method": "extremes"}),
    Quantizer(OURS, "int8", "int8, extremes, no balance", {"method": "extremes", "balance": False}),
    Quantizer(NNCF, "int8", "PERFORMANCE", {"preset": "PERFORMANCE"}),
    Quantizer(NNCF, "int8", "MIXED", {"preset": "MIXED"}),
    Quantizer(NNCF, "int8", "MIXED, TRANSFORMER", {"preset": "MIXED", "transformer": True}),
    Quantizer(NNCF, "int8", "the same, our layers", {"preset": "MIXED", "transformer": True, "our_layers": True}),
    Quantizer(
        NNCF, "int8", "the same, our layers, min and max",
        {"preset": "MIXED", "transformer": True, "our_layers": True, "extremes": True},
    ),
    Quantizer(
        NNCF, "int8", "the same, no SmoothQuant",
        {"preset": "MIXED", "transformer": True, "our_layers": True, "extremes": True, "smooth": [-1, -1]},
    ),
    Quantizer(
        NNCF, "int8", "the same, SmoothQuant of convolutions too",
        {"preset": "MIXED", "transformer": True, "our_layers": True, "extremes": True, "smooth": [0.15, 0.5]},
    ),
    Quantizer(
        NNCF, "int8", "the same, each bias corrected in turn",
        {"preset": "MIXED", "transformer": True, "our_layers": True, "extremes": True, "fast_bias": False}, slow=True,
    ),
    Quantizer(OURS, "int4", "int4"),
    Quantizer(OURS, "int4", "int4, asymmetric", {"symmetric": False}),
    Quantizer(OURS, "int4", "int4, no feedback", {"feedback": False}),
    Quantizer(OURS, "int4", "int4, asymmetric, no feedback", {"symmetric": False, "feedback": False}),
    Quantizer(NNCF, "int4", "INT4_SYM", {"mode": "INT4_SYM"}),
    Quantizer(NNCF, "int4", "INT4_ASYM", {"mode": "INT4_ASYM"}),
    Quantizer(NNCF, "int4", "INT4_SYM, scale estimation", {"mode": "INT4_SYM", "with": ["scale_estimation"]}),
    Quantizer(NNCF, "int4", "INT4_SYM, AWQ", {"mode": "INT4_SYM", "with": ["awq"]}),
    Quantizer(NNCF, "int4", "INT4_SYM, GPTQ", {"mode": "INT4_SYM", "with": ["gptq"]}),
    Quantizer(
        NNCF, "int4", "INT4_SYM, GPTQ, scale estimation", {"mode": "INT4_SYM", "with": ["gptq", "scale_estimation"]}
    ),
    Quantizer(NNCF, "int4", "INT4_ASYM, GPTQ", {"mode": "INT4_ASYM", "with": ["gptq"]}),
    Quantizer(OURS, "nf4", "nf4"),
    Quantizer(NNCF, "nf4", "NF4", {"mode": "NF4"}),
)  # fmt: skip
