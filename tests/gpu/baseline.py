"""Stage 4: Diffusers, from the same checkpoint, measured as stage 3 measures a bundle."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aquatint.tests.gpu.protocol import tell
from aquatint.tests.gpu.timing import FIRST, Call, Steps

MODES = {"eager": None, "compile": "max-autotune", "reduce-overhead": "reduce-overhead"}


@dataclass(frozen=True)
class Job:
    """checkpoint: a Diffusers folder.  baseline: of MODES, how the UNet is compiled."""

    checkpoint: str
    baseline: str
    call: Call
    repeats: int


def do(job: Job, folder: Path) -> dict[str, Any]:
    """On CUDA in float16, with UNet and VAE in channels_last; without CUDA on the CPU in float32.

    step_s, picture_s: as of stage 3.  reserved_bytes: the most that PyTorch held of the GPU, or None.
    """
    import diffusers
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float16 if device == "cuda" else torch.float32
    index = json.loads((Path(job.checkpoint) / "model_index.json").read_text(encoding="utf-8"))
    without = {"safety_checker": None} if "safety_checker" in index else {}
    pipe = diffusers.DiffusionPipeline.from_pretrained(job.checkpoint, dtype=dtype, local_files_only=True, **without)
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device)
    for part in (pipe.unet, pipe.vae):
        part.to(memory_format=torch.channels_last)
    if MODES[job.baseline] is not None:
        pipe.unet = torch.compile(pipe.unet, mode=MODES[job.baseline])
    tell("loaded")

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def printed(steps: Steps | None) -> Any:
        def watch(pipe: Any, number: int, timestep: Any, arrays: dict[str, Any]) -> dict[str, Any]:
            wait()
            if steps is not None:
                steps.done()
            return arrays

        call = job.call
        return pipe(
            call.prompt, num_inference_steps=call.steps, guidance_scale=call.guidance_scale, height=call.size,
            width=call.size, generator=torch.Generator("cpu").manual_seed(call.seed), callback_on_step_end=watch,
        ).images[0]  # fmt: skip

    picture = printed(None)
    tell(FIRST)
    picture.save(folder / "first.png")
    step_s, picture_s = [], []
    for number in range(job.repeats):
        steps = Steps()
        start = time.perf_counter()
        printed(steps)
        picture_s.append(time.perf_counter() - start)
        step_s.append(steps.seconds)
        tell("picture", number=number)
    on_cuda = device == "cuda"
    return {
        "step_s": step_s,
        "picture_s": picture_s,
        "picture": str(folder / "first.png"),
        "device": torch.cuda.get_device_name() if on_cuda else "cpu",
        "dtype": str(dtype).removeprefix("torch."),
        "reserved_bytes": torch.cuda.max_memory_reserved() if on_cuda else None,
        "allocated_bytes": torch.cuda.max_memory_allocated() if on_cuda else None,
    }
