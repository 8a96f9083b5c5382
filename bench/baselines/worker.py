"""A rival in a process of its own, which prints a picture whenever it is asked to.

PYTHON worker.py ORDER CALL, both as JSON, says what bench/timing/protocol.py describes; the call is the first to come.
PYTHON worker.py check ORDER only looks whether the packages and the folder are there.
It runs in environments that have no aquatint, and imports nothing of ours.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

NEEDS = {
    "diffusers": ("torch", "diffusers", "transformers"),
    "diffusers-compile": ("torch", "diffusers", "transformers"),
    "optimum": ("optimum.intel", "openvino"),
    "openvino-genai": ("openvino_genai",),
}
VERSIONS = ("torch", "diffusers", "transformers", "optimum-intel", "openvino", "openvino-genai", "onnxruntime")
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
INDEX = "model_index.json"


class Diffusers:
    """PyTorch, eager or compiled: channels last, which its documentation advises for both."""

    def __init__(self, order: dict[str, Any], first: dict[str, Any]) -> None:
        import diffusers
        import torch

        self._torch = torch
        if order["threads"]:
            torch.set_num_threads(order["threads"])
        self._device = order["device"] or "cpu"
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[order["dtype"] or "fp32"]
        folder = Path(order["folder"])
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        without = {"safety_checker": None} if "safety_checker" in index else {}
        # Older releases know only torch_dtype, the newest prefer dtype.
        named = "dtype" if _release("diffusers") >= (0, 42) else "torch_dtype"
        self._pipe = diffusers.DiffusionPipeline.from_pretrained(
            folder, local_files_only=True, **{named: dtype}, **without
        )
        self._pipe.set_progress_bar_config(disable=True)
        self._pipe.to(self._device)
        for part in (self._pipe.unet, self._pipe.vae):
            part.to(memory_format=torch.channels_last)
        if order["kind"] == "diffusers-compile":
            self._pipe.unet.forward = torch.compile(self._pipe.unet.forward)
        self.target = f"torch:{self._device}"

    def clock(self) -> dict[str, Clock]:
        """The parts, each with a clock around it."""
        found = {"unet": Clock(self._pipe.unet, "forward", self._wait)}
        for name in ("text_encoder", "text_encoder_2"):
            if getattr(self._pipe, name, None) is not None:
                found[name] = Clock(getattr(self._pipe, name), "forward", self._wait)
        return found | {"vae_decoder": Clock(self._pipe.vae, "decode", self._wait)}

    def print(self, call: dict[str, Any], on_step: Any) -> Any:
        """Its first image, as PIL."""

        def watch(pipe: Any, number: int, timestep: Any, arrays: dict[str, Any]) -> dict[str, Any]:
            self._wait()
            on_step()
            return arrays

        noise = self._torch.Generator("cpu").manual_seed(call["seed"])
        return self._pipe(
            call["prompt"], generator=noise, callback_on_step_end=watch, **_words(call)
        ).images[0]  # fmt: skip

    def _wait(self) -> None:
        if self._device != "cpu":
            self._torch.cuda.synchronize()


class Optimum:
    """Optimum Intel on a folder that it exported, with fixed sizes, which it is faster with."""

    def __init__(self, order: dict[str, Any], first: dict[str, Any]) -> None:
        import torch
        from optimum.intel import OVDiffusionPipeline

        self._torch = torch
        self._pipe = OVDiffusionPipeline.from_pretrained(
            order["folder"], compile=False, ov_config=_openvino_settings(order), device=_openvino_device(order)
        )
        self._pipe.set_progress_bar_config(disable=True)
        self._fixed: tuple[Any, ...] = ()
        self._fix(first)
        self.target = f"openvino:{_openvino_device(order).lower()}"

    def clock(self) -> dict[str, Clock]:
        """The parts, each with a clock around it."""
        names = [
            name for name in ("unet", "text_encoder", "text_encoder_2", "vae_decoder") if hasattr(self._pipe, name)
        ]
        return {name: Clock(part, "forward") for name in names if (part := getattr(self._pipe, name)) is not None}

    def print(self, call: dict[str, Any], on_step: Any) -> Any:
        """Its first image, as PIL."""

        def watch(pipe: Any, number: int, timestep: Any, arrays: dict[str, Any]) -> dict[str, Any]:
            on_step()
            return arrays

        self._fix(call)
        noise = self._torch.Generator("cpu").manual_seed(call["seed"])
        return self._pipe(call["prompt"], generator=noise, callback_on_step_end=watch, **_words(call)).images[0]

    def _fix(self, call: dict[str, Any]) -> None:
        fixed = (1, call["height"], call["width"], call["images"])
        if fixed != self._fixed:
            self._pipe.reshape(*fixed)
            self._pipe.compile()
            self._fixed = fixed


class Genai:
    """OpenVINO GenAI on a folder that Optimum exported, with fixed sizes."""

    def __init__(self, order: dict[str, Any], first: dict[str, Any]) -> None:
        self._order = order
        self._fixed: tuple[Any, ...] = ()
        self._pipe: Any = None
        self._fix(first)
        self.target = f"openvino:{_openvino_device(order).lower()}"

    def clock(self) -> dict[str, Clock]:
        """None: it is one call."""
        return {}

    def print(self, call: dict[str, Any], on_step: Any) -> Any:
        """Its first image, as PIL."""
        import openvino_genai
        from PIL import Image

        self._fix(call)

        def watch(number: int, total: int, latent: Any) -> bool:
            on_step()
            return False

        noise = openvino_genai.TorchGenerator(call["seed"])
        made = self._pipe.generate(call["prompt"], generator=noise, callback=watch, **_words(call))
        self.stages = self._told()
        return Image.fromarray(made.data[0])

    def _fix(self, call: dict[str, Any]) -> None:
        import openvino_genai

        fixed = (call["images"], call["height"], call["width"], call["guidance_scale"])
        if fixed != self._fixed:
            # One that is compiled can't be reshaped again.
            self._pipe = openvino_genai.Text2ImagePipeline(self._order["folder"])
            self._pipe.reshape(*fixed)
            self._pipe.compile(_openvino_device(self._order), **_openvino_settings(self._order))
            self._fixed = fixed

    def _told(self) -> dict[str, float]:
        """What it says itself of its parts, in seconds."""
        metrics = self._pipe.get_performance_metrics()
        encoders = metrics.get_text_encoder_infer_duration()
        found = {name: ms / 1e3 for name, ms in encoders.items()}
        return found | {"vae_decoder": metrics.get_vae_decoder_infer_duration() / 1e3}


class Clock:
    """Stands in the place of a method and adds up its time.  wait: for the device, before time is taken."""

    def __init__(self, owner: Any, method: str, wait: Any = lambda: None) -> None:
        self.seconds = 0.0
        inner = getattr(owner, method)

        def timed(*args: Any, **words: Any) -> Any:
            wait()
            start = time.perf_counter()
            found = inner(*args, **words)
            wait()
            self.seconds += time.perf_counter() - start
            return found

        setattr(owner, method, timed)


KINDS = {"diffusers": Diffusers, "diffusers-compile": Diffusers, "optimum": Optimum, "openvino-genai": Genai}


def take(rival: Any, clocks: dict[str, Clock], ask: dict[str, Any]) -> dict[str, Any]:
    """Answer an ask with a sample."""
    if ask["call"]["scheduler"] is not None:
        return {"refused": "it is measured with the checkpoint's own scheduler only"}
    for clock in clocks.values():
        clock.seconds = 0.0
    unet = clocks.get("unet")
    ends: list[tuple[float, float]] = []
    start = time.perf_counter()
    image = rival.print(ask["call"], lambda: ends.append((time.perf_counter(), unet.seconds if unet else 0.0)))
    total = time.perf_counter() - start
    if ask["save"] is not None:
        image.save(ask["save"])
    steps = [later[0] - earlier[0] for earlier, later in pairwise(ends)]
    inside = [later[1] - earlier[1] for earlier, later in pairwise(ends)]
    stages = {name: clock.seconds for name, clock in clocks.items() if name != "unet" and clock.seconds}
    return {
        "total": total,
        "stages": stages or getattr(rival, "stages", {}),
        "steps": steps,
        "host": [whole - part for whole, part in zip(steps, inside)] if unet else None,
    }


def check(order: dict[str, Any]) -> dict[str, Any]:
    """Versions, or what is missing; imports none of it."""
    missing = [name for name in NEEDS[order["kind"]] if not _is_here(name)]
    if missing:
        return {"missing": f"{sys.executable} has no {', '.join(missing)}"}
    if not (Path(order["folder"]) / INDEX).is_file():
        made = "a folder that Optimum exported" if order["kind"] in ("optimum", "openvino-genai") else "a checkpoint"
        return {"error": f"{order['folder']} has no {INDEX}; it must be {made}"}
    return {"packages": _versions()}


def main(order: dict[str, Any], first: dict[str, Any]) -> None:
    """Load, then answer; ends with the input."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else prints there

    def say(table: dict[str, Any]) -> None:
        out.write(json.dumps(table) + "\n")
        out.flush()

    try:
        start = time.perf_counter()
        rival: Any = KINDS[order["kind"]](order, first)
        load_s = time.perf_counter() - start
        clocks = rival.clock()
        say({"load_s": load_s, "target": rival.target, "profile": order["dtype"] or "", "packages": _versions()})
        for line in sys.stdin:
            say(take(rival, clocks, json.loads(line)))
    except Exception as wrong:  # of packages that share no class of errors
        said = [line.strip() for line in str(wrong).splitlines() if line.strip()]
        say({"error": f"{type(wrong).__name__}: {said[-1] if said else ''}"})
        sys.exit(1)


def _words(call: dict[str, Any]) -> dict[str, Any]:
    return {
        "num_inference_steps": call["steps"],
        "guidance_scale": call["guidance_scale"],
        "height": call["height"],
        "width": call["width"],
        "num_images_per_prompt": call["images"],
    }


def _openvino_settings(order: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if order["dtype"]:
        settings["INFERENCE_PRECISION_HINT"] = HINTS[order["dtype"]]
    if order["threads"] and _openvino_device(order) == "CPU":
        settings["INFERENCE_NUM_THREADS"] = order["threads"]
    return settings


def _openvino_device(order: dict[str, Any]) -> str:
    return (order["device"] or "cpu").upper()


def _is_here(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package that it would be in
        return False


def _release(package: str) -> tuple[int, ...]:
    return tuple(int(part) for part in importlib.metadata.version(package).split(".")[:2])


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    if sys.argv[1] == "check":
        print(json.dumps(check(json.loads(sys.argv[2]))))
    else:
        main(json.loads(sys.argv[1]), json.loads(sys.argv[2]))
