"""Layers quantized in place: the account of it, and when the work is done."""

import numpy as np
import pytest

from aquatint.quantize.apply import Share, quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.layers import find_layers
from aquatint.runtime.errors import BadModel

ir = pytest.importorskip("onnx_ir")


def mixed(model):
    rules = [
        Rule("int4", layers="block.0.up", settings={"feedback": False}),
        Rule("nf4", layers="down"),
        Rule("int8-weights", layers="grouped"),
    ]
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


def test_a_layer_that_needs_calibration_says_so_by_its_name(small, small_activations):
    model = small.model()
    rules = [Rule("int8", layers="down")]
    assignments = assign(find_layers(model), rules, Rule("none"))
    with pytest.raises(BadModel, match="int8 needs to know what down is given, and no calibration watched it"):
        quantize_model(model, assignments)
    assert "network.down.weight" in model.graph.initializers
    quantize_model(model, assignments, small_activations)
    assert "down.codes" in model.graph.initializers


def test_schemes_that_do_not_ask_are_given_nothing(small, monkeypatch):
    from aquatint.quantize.activations import Activations
    from aquatint.quantize.schemes import nf4

    given = []
    original = nf4.quantize
    monkeypatch.setattr(nf4, "quantize", lambda *args: given.append(args[3]) or original(*args))
    monkeypatch.setattr(Activations, "of", lambda *args: pytest.fail("it was read"))
    model = small.model()
    quantize_model(model, mixed(model), Activations.__new__(Activations))
    assert given == [None]


def test_calibrated_layers_beside_others_run_as_a_whole(small, small_activations, run_ort, run_openvino, tmp_path):
    model = small.model()
    rules = [Rule("int8", layers="block.0.up"), Rule("int4", layers="down")]
    quantize_model(model, assign(find_layers(model), rules, Rule("int8-weights")), small_activations)
    ir.save(model, tmp_path / "mixed.onnx")
    ir.save(small.model(), tmp_path / "plain.onnx")
    for run in (run_ort, run_openvino):
        for ours, plain in zip(
            run(tmp_path / "mixed.onnx", small.feeds), run(tmp_path / "plain.onnx", small.feeds), strict=True
        ):
            # Eight bits, and four with feedback, of normal weights.
            assert np.sqrt(np.mean((ours - plain) ** 2) / np.mean(plain**2)) < 0.1
