"""The comparison of quantizers: fair rows in a table, one failing quantizer among others, and NNCF's traps."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from aquatint.bench.quantizers import HEADER, Row, compare, main, markdown
from aquatint.bench.quantizers_list import KINDS, NNCF, OURS, QUANTIZERS, Quantizer
from aquatint.bench.quantizers_material import find_material
from aquatint.compile.cases import read_cases
from aquatint.profiles.profile import Calibration

openvino = pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def material(workshop):
    return find_material(str(workshop.checkpoint("tiny-sd")), workshop.cache, Calibration(images=1, steps=3))


def test_every_kind_is_made_by_us_and_by_nncf():
    assert {(one.maker, one.kind) for one in QUANTIZERS} == {(by, kind) for by in (OURS, NNCF) for kind in KINDS}
    assert len({(one.maker, one.kind, one.label) for one in QUANTIZERS}) == len(QUANTIZERS)


def test_ours_is_measured_on_calls_that_calibrated_nothing(material, tmp_path):
    quantizers = (
        Quantizer(OURS, "int8-weights", "int8-weights"),
        Quantizer(OURS, "int4", "plain", {"feedback": False}),
    )
    eight, four = compare(material, quantizers, repeats=2, folder=tmp_path)
    # 8 bits with a scale for each output lose 0.3 to 1 % of a UNet's output, 4 bits more.
    assert 0.001 < eight.measured.error < 0.02
    assert four.measured.error > eight.measured.error
    assert eight.measured.error <= eight.measured.error_max
    # Biases, norms and scales are the rest.
    assert (eight.measured.four, eight.measured.eight > 0.9) == (0, True)
    assert four.measured.four > 0.1
    assert eight.made.seconds > 0


def test_a_quantizer_that_fails_is_a_row_with_its_reason(material, tmp_path):
    (row,) = compare(material, [Quantizer(OURS, "int4", "odd", {"group_size": 7})], repeats=2, folder=tmp_path)
    assert row.made is None
    assert "group_size" in row.reason
    assert "fails: " in markdown([row])


def test_calibration_and_judging_share_no_call(material):
    calibrated, judged = (
        {case.feeds["sample"].tobytes() for case in read_cases(Path(folder), "unet")}
        for folder in (material.calls, material.held_out)
    )
    assert calibrated
    assert judged
    assert not calibrated & judged


def test_a_table_has_as_many_cells_as_its_header():
    lines = markdown([Row(QUANTIZERS[0], reason="why")]).splitlines()
    assert {line.count("|") for line in lines if line.startswith("|")} == {HEADER.count("|")}


def test_weights_are_turned_for_nncf_without_a_change_of_the_output(material):
    from aquatint.bench.quantizers_nncf import put_outputs_first

    core = openvino.Core()
    rng = np.random.default_rng(0)
    model, turned = core.read_model(material.graph), core.read_model(material.graph)
    assert put_outputs_first(turned) > 10
    assert put_outputs_first(turned) == 0
    feeds = {
        "sample": rng.standard_normal((2, 4, 8, 8)).astype(np.float32),
        "timestep": np.array([500], np.float32),
        "encoder_hidden_states": rng.standard_normal((2, 77, 32)).astype(np.float32),
    }
    before, after = (
        core.compile_model(one, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(feeds)[0] for one in (model, turned)
    )
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-5)  # the same products in another order


def test_the_command_prints_json_of_every_row(material, monkeypatch):
    pytest.importorskip("nncf")
    monkeypatch.setattr("aquatint.bench.quantizers.find_material", lambda model, cache: material)
    result = CliRunner().invoke(main, ["a-model", "--only", "nf4", "--repeats", "2", "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert {row["quantizer"]["maker"] for row in said["rows"]} == {OURS, NNCF}
    assert all(0 < row["measured"]["error"] < 0.2 for row in said["rows"])


def test_without_nncf_its_rows_are_left_out_and_the_way_to_it_is_said(material, monkeypatch):
    monkeypatch.setattr("aquatint.bench.quantizers.find_material", lambda model, cache: material)
    monkeypatch.setattr("aquatint.bench.quantizers.find_spec", lambda package: None)
    result = CliRunner().invoke(main, ["a-model", "--only", "int8-weights", "--repeats", "2", "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert {row["quantizer"]["maker"] for row in said["rows"]} == {OURS}
    assert said["bitsandbytes"] is None
    assert 'pip install "nncf"' in result.stderr
