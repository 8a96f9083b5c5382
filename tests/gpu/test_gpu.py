"""The quick part of the proof on this machine's GPU: `pytest -m gpu tests/gpu`."""

import pytest

pytestmark = pytest.mark.gpu


def test_every_stage_runs_to_its_end(gpu_result):
    assert [entry["error"] for entry in gpu_result["stages"] if not entry["ok"]] == []


def test_a_target_of_this_gpu_was_proved(gpu_result):
    assert {one["what"] for one in gpu_result["pictures"]} == set(gpu_result["environment"]["targets"]) != set()


def test_pictures_are_those_of_the_cpu_and_of_every_way_to_run_them(gpu_result):
    against = {one["against"] for one in gpu_result["pictures"]}
    assert {"graphs off", "loop on the host"} < against
    assert [one for one in gpu_result["pictures"] if not one["alike"]] == []


def test_nothing_fell_back_to_running_without_a_cuda_graph(gpu_result):
    said = [line for entry in gpu_result["stages"] if entry["result"] for line in entry["result"]["said"]]
    assert [line for line in said if "without a CUDA graph" in line] == []
