"""A stage's process: what is heard of it, how its end is told, and a GPU's memory meanwhile."""

import sys
from types import SimpleNamespace

import pytest

from aquatint.bench.timing.vram import Nvml, Reading, Sampling, process_bytes
from aquatint.tests.gpu import environment, printing
from aquatint.tests.gpu.process import run_work
from aquatint.tests.gpu.protocol import read_event


def test_lines_of_libraries_are_no_events():
    assert read_event('{"event": "loaded", "at": 1}\n') == {"event": "loaded", "at": 1}
    for line in ("loading weights\n", "3\n", '{"step": 1}', '["event"]', ""):
        assert read_event(line) is None


def test_what_the_worker_knows_as_an_error_comes_back_as_its_one_line(tmp_path):
    missing = tmp_path / "no-bundle"
    found = run_work("printing", printing.Job(str(missing), ()), tmp_path / "stage")
    assert not found["ok"]
    assert found["error"] == f"{missing} is no bundle: it has no manifest.json"


def test_what_it_does_not_know_comes_back_as_the_last_lines_of_stderr(tmp_path):
    found = run_work("no such work", {}, tmp_path)
    assert found["error"].startswith("its process ended with code 1: ")
    assert "ValueError: no work 'no such work'" in found["error"]


def test_a_process_that_takes_too_long_is_ended(tmp_path):
    found = run_work("environment", environment.Job(("ort:cpu",)), tmp_path, timeout_s=0.05)
    assert found["error"] == "it took longer than 0 s"
    assert found["seconds"] < 5


class Scripted:
    """A meter whose GPU holds 100 bytes before any process, and grows with each reading."""

    source, interval_s = "script", 0.001

    def __init__(self, own):
        self.own, self.used = own, 100

    def read(self, pid):
        if pid == 0:
            return Reading(None, 100)
        self.used = min(self.used + 10, 150)
        return Reading(self.own, self.used)


@pytest.mark.parametrize("own", [42, None])
def test_peaks_are_of_the_process_where_the_driver_tells_and_else_what_the_gpu_grew(own, tmp_path):
    found = run_work("no such work", {}, tmp_path, meter=Scripted(own))["vram"]
    assert (found["process_bytes"], found["growth_bytes"], found["before_bytes"]) == (own, 50, 100)
    assert found["source"] == "script"


def test_without_a_meter_there_are_no_figures_of_memory():
    with Sampling(None) as sampling:
        sampling.begin(1)
    assert (sampling.summary(), sampling.now()) == (None, {})


def test_nvml_is_asked_for_the_process_among_those_on_the_gpu(monkeypatch):
    running = [SimpleNamespace(pid=7, usedGpuMemory=30), SimpleNamespace(pid=8, usedGpuMemory=None)]
    stand_in = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByPciBusId=lambda place: place,
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(used=99),
        nvmlDeviceGetComputeRunningProcesses=lambda gpu: running,
        NVMLError=RuntimeError,
    )
    monkeypatch.setitem(sys.modules, "pynvml", stand_in)
    meter = Nvml("0000:01:00.0")
    assert [meter.read(pid) for pid in (7, 8, 9)] == [Reading(30, 99), Reading(None, 99), Reading(None, 99)]


def test_nvidia_smis_list_is_read_in_mebibytes():
    listed = "11, 512\n12, [N/A]\n"
    assert [process_bytes(listed, pid) for pid in (11, 12, 13)] == [512 << 20, None, None]
