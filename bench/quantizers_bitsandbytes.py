"""Our nf4 beside that of bitsandbytes, layer by layer: the same bytes, and how long each takes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Likeness:
    """same: all codes and scales.  ours_s, theirs_s: seconds of all layers, one after the other."""

    layers: int
    weights: int
    same: bool
    ours_s: float
    theirs_s: float


def compare_nf4(graph: str) -> Likeness:
    """Every layer of the float graph that can be nf4, quantized by both on the CPU."""
    import bitsandbytes.functional as theirs
    import onnx_ir as ir
    import torch

    from ..quantize.assign import Rule, assign
    from ..quantize.layers import find_layers
    from ..quantize.schemes import nf4
    from ..quantize.weights import read_weight, weight_tensor

    model = ir.load(graph)
    layers = [found.layer for found in assign(find_layers(model), (), Rule("nf4")) if found.scheme == "nf4"]
    # The first call of each loads what it needs.
    theirs.quantize_4bit(torch.ones(nf4.BLOCK), blocksize=nf4.BLOCK, quant_type="nf4")
    same, weights, seconds = True, 0, np.zeros(2)
    for layer in layers:
        weight = np.array(read_weight(weight_tensor(model, layer), layer), order="C")
        start = time.perf_counter()
        blocks = weight.reshape(-1, nf4.BLOCK)
        absmax = nf4.absmax_of(blocks)
        codes = nf4.packed(nf4.codes_of(blocks, absmax))
        between = time.perf_counter()
        told, state = theirs.quantize_4bit(torch.from_numpy(weight), blocksize=nf4.BLOCK, quant_type="nf4")
        seconds += between - start, time.perf_counter() - between
        same &= np.array_equal(codes, told.numpy().reshape(-1))
        same &= np.array_equal(absmax, state.absmax.numpy().reshape(-1))
        weights += weight.size
    return Likeness(len(layers), weights, bool(same), float(seconds[0]), float(seconds[1]))
