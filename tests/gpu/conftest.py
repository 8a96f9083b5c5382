"""The proof's own quick run, made once; and a result that nobody measured."""

from typing import Any

import pytest

from aquatint.runtime.cuda.device import first_gpu
from aquatint.runtime.errors import Error
from aquatint.tests.gpu.proof import prove
from aquatint.tests.gpu.settings import Settings, quick


@pytest.fixture(scope="session")
def gpu_result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of this machine's GPU; skips, saying why, where there is none."""
    try:
        first_gpu()
    except Error as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("gpu")
    return prove(quick(Settings((), baselines=())), folder, folder / "work", print)


def figure_entry(stage: str, name: str, variant: str, run: str, **found: Any) -> dict[str, Any]:
    """A stage of figures, as the ledger has it.  found: first_s, step_s; own, growth and reserved, bytes of the GPU."""
    vram = {"source": "NVML", "process_bytes": found["own"], "growth_bytes": found["growth"], "before_bytes": 0}
    result = {
        "step_s": found["step_s"],
        "picture_s": [1.0, 3.0, 2.0],
        "said": [],
        "reserved_bytes": found.get("reserved"),
    }
    return {
        "stage": stage, "model": "sd15", "name": name, "variant": variant, "run": run, "ok": True, "error": None,
        "seconds": 9.0, "events": [{"event": "first picture", "at_s": found["first_s"]}], "result": result,
        "vram": {**vram, "readings": 5},
    }  # fmt: skip


@pytest.fixture
def made_up() -> dict[str, Any]:
    """Ours takes half of torch.compile's step, 0.75 of its memory, and 0.1 of its time to the first picture."""
    ours, theirs = [[0.010, 0.020], [0.080, 0.020]], [[0.040] * 4]
    gb = 10**9
    components = {"unet": {"quality": {"relative_error": 0.002}, "memory": {"weights_bytes": 700, "scratch_bytes": 30}},
                  "vae": {"quality": {}, "memory": {"weights_bytes": 100, "scratch_bytes": 50}}}  # fmt: skip
    compiled = {
        "stage": "compile", "model": "sd15", "target": "ort:cuda", "profile": "balanced", "batch": 1, "ok": True,
        "error": None, "seconds": 70.0, "events": [], "vram": None,
        "result": {"seconds": 61.25, "pieces_in_cache": 0, "peak_bytes": 2 * gb, "bundle_bytes": 3 * gb,
                   "psnr_db": 55.5, "components": components, "said": []},
    }  # fmt: skip
    failed = {
        "stage": "compile",
        "model": "demo",
        "target": "tensorrt:sm89",
        "ok": False,
        "error": "no | plan",
        "events": [],
    }
    return {
        "format": 1,
        "began": "2026-01-01T00:00:00Z",
        "settings": {"steps": 20, "repeats": 5, "quick": False},
        "environment": {
            "gpu": {"name": "Made-up 1", "architecture": "sm89", "total_bytes": 24 * gb, "driver": "1.2",
                    "cuda_driver": "12.8"},
            "cpu": "a processor", "cores": 4, "system": "Linux", "python": "3.11", "packages": {"aquatint": "0.1"},
            "commit": None, "vram_by": "NVML", "baselines_left_out": None,
        },
        "stages": [
            compiled,
            failed,
            figure_entry("figures", "ort:cuda", "defaults", "cold", first_s=4.0, step_s=ours, own=9 * gb, growth=gb),
            figure_entry("figures", "ort:cuda", "defaults", "warm", first_s=3.0, step_s=ours, own=3 * gb,
                         growth=5 * gb),
            figure_entry("figures", "ort:cuda", "graphs off", "warm", first_s=3.0, step_s=theirs, own=gb, growth=gb),
            figure_entry("baseline", "diffusers eager", "", "warm", first_s=9.0, step_s=theirs, own=gb, growth=gb),
            figure_entry("baseline", "diffusers compile", "max-autotune", "cold", first_s=40.0, step_s=theirs, own=gb,
                         growth=gb),
            figure_entry("baseline", "diffusers compile", "max-autotune", "warm", first_s=8.0, step_s=theirs,
                         own=4 * gb, growth=20 * gb, reserved=3 * gb),
        ],
        "pictures": [
            {"model": "demo", "profile": "demo-exact", "what": "ort:cuda", "call": "text, ddim",
             "against": "openvino:cpu", "psnr_db": 49.0, "least_db": 50.0, "alike": False},
        ],
        "bars": [],
    }  # fmt: skip
