"""Layers quantized in place: the account of it, and when the work is done."""

import numpy as np
import pytest

from aquatint.quantize.apply import Share, quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.layers import find_layers

ir = pytest.importorskip("onnx_ir")


def mixed(model):
    rules = [Rule("int4", layers="block.0.up"), Rule("nf4", layers="down"), Rule("int8-weights", layers="grouped")]
    return assign(find_layers(model), rules, Rule("none"))


def test_the_summary_counts_layers_and_bytes_for_each_scheme(small):
    model = small.model()
    summary = quantize_model(model, mixed(model))
    up, down, grouped, pointwise = 192 * 128, 64 * 192, 288, 96
    assert summary.schemes == {
        "int4": Share(1, up, 4 * up, up // 2 + 4 * up // 64),
        "nf4": Share(1, down, 4 * down, down // 2 + 4 * down // 64),
        "int8-weights": Share(1, grouped, 4 * grouped, grouped + 4 * 16),
        "none": Share(1, pointwise, 4 * pointwise, 4 * pointwise),
    }
    assert summary.total.layers == 4
    assert summary.total.before_bytes == 4 * (up + down + grouped + pointwise)


def test_only_assigned_layers_change(small):
    model = small.model()
    quantize_model(model, mixed(model))
    assert [layer.name for layer in find_layers(model)] == ["pointwise"]
    for name in ("network.embed.weight", "network.up.bias", "network.down.bias", "network.pointwise.weight"):
        held = model.graph.initializers[name].const_value.numpy()
        assert np.array_equal(held, small.weights[name])


def test_a_mixed_graph_runs_on_both_engines(small, run_ort, run_openvino, dequantized, tmp_path):
    model = small.model()
    quantize_model(model, mixed(model))
    path = tmp_path / "mixed.onnx"
    ir.save(model, path)
    back = dequantized(model)
    picture = {"tokens": small.feeds["tokens"], "picture": small.feeds["picture"]}
    w = small.weights
    states = w["network.embed.weight"][picture["tokens"]] @ back["block.0.up"] + w["network.up.bias"]
    expected = states.reshape(-1, 192) @ back["down"].T + w["network.down.bias"]
    for run in (run_ort, run_openvino):
        ours = run(path, picture)[0]
        # Sums of 192 products in another order, in float32.
        assert np.abs(ours - expected).max() < 1e-5 * np.abs(expected).max()


def test_codes_are_computed_when_the_graph_is_written(small, monkeypatch):
    from aquatint.quantize.schemes import int8_weights

    calls = []
    original = int8_weights.codes_of
    monkeypatch.setattr(int8_weights, "codes_of", lambda *args: calls.append(1) or original(*args))
    model = small.model()
    quantize_model(model, assign(find_layers(model), [], Rule("int8-weights")))
    assert calls == []
    ir.to_proto(model)
    assert len(calls) == 4


def test_nothing_assigned_changes_nothing(small):
    model = small.model()
    nodes = list(model.graph)
    summary = quantize_model(model, assign(find_layers(model), [], Rule("none")))
    assert list(model.graph) == nodes
    assert summary.total.before_bytes == summary.total.after_bytes
