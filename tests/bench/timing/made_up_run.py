"""Measurements that nobody made: of a large model on five engines, of the demo model, of a sweep, and of minutes."""

from dataclasses import replace

import numpy as np

from aquatint.bench.profiling.profile import Operator, Profile
from aquatint.bench.roofline.peaks import Peak, Peaks
from aquatint.bench.roofline.work import Product, Work
from aquatint.bench.timing.call import Call
from aquatint.bench.timing.cpu_state import CpuState
from aquatint.bench.timing.foreign_load import ForeignLoad
from aquatint.bench.timing.machine import Machine, NvidiaGpu
from aquatint.bench.timing.mappings import Parts
from aquatint.bench.timing.measured import (
    Likeness,
    Load,
    Loads,
    Measured,
    Moment,
    Opened,
    Point,
    Quality,
    Run,
    Sample,
    Series,
    Vram,
)
from aquatint.bench.timing.memory import MemoryUse, StageMemory
from aquatint.bench.timing.memory_floor import MemoryFloor
from aquatint.bench.timing.order import Order
from aquatint.bench.timing.patience import Patience
from aquatint.bench.timing.result import FORMAT, Result

CALL = Call("a large red circle", 0, 10, 7.5, 512, 512, scheduler="ddim")
NAMES = (
    "sd15 int8-static & vnni, openvino:cpu", "sd15 exact, openvino:cpu", "diffusers fp32", "diffusers bf16",
    "diffusers bf16 compiled <b>max-autotune</b> $x_1$",
)  # fmt: skip
STEPS_S = (3.4, 10.0, 21.0, 13.0, 11.0)
STATE = CpuState(2600.0, 61.0, 0)
MACHINE = Machine(
    cpu="AMD EPYC 7B13", board=None, architecture="x86_64", cpus=2, cores=1, allowed="0-1", quota=None,
    flags=("avx2",), governors=(), max_mhz=None, virtual=True, memory_bytes=16 << 30, memory_limit_bytes=None,
    swap_bytes=0, system="Linux 6.1", python="3.11.7", packages={"numpy": "2.3"},
    gpus=(NvidiaGpu("H200", "sm90", 1 << 37, "12.8", None),),
    now=STATE,
)  # fmt: skip


def sample(step_s, steps, rng, noise=0.02, host=0.004, images=1):
    """One call of so many steps; its text encoder takes a twentieth of a step, its decoder a half."""
    times = step_s * images * (1 + noise * np.abs(rng.standard_normal(steps)))
    stages = {"text_encoder": 0.05 * step_s, "vae_decoder": 0.5 * step_s * images}
    later = tuple(float(time) for time in times[1:])
    outside = None if host is None else tuple(host * time for time in later)
    calls = {"text_encoder": 2, "vae_decoder": 1} | ({} if host is None else {"unet": steps})
    return Sample(float(times.sum()) + sum(stages.values()) + 0.03 * step_s, stages, later, outside, calls)


def series(step_s, rng, count=6, call=CALL, **words):
    found = [sample(step_s, call.steps, rng, images=call.images, **words) for _ in range(count)]
    return Series(tuple(found), tuple(np.cumsum([one.total for one in found]).tolist()), 1.1 * found[0].total)


def memory(peak, steady, weights):
    parts = Parts(int(weights), int(180e6), int(steady - weights - 180e6 - 4e6), int(4e6), int(steady))
    stages = [
        StageMemory(name, int(peak), True, int(steady), int(weights), parts) for name in ("load", "first picture")
    ]
    last = StageMemory("pictures", int(steady), True, int(steady), int(weights), parts)
    return MemoryUse(int(peak), int(steady), int(steady - weights), (*stages, last))


def large():
    """Five subjects; the last tells no times of its denoiser and was not compared."""
    rng = np.random.default_rng(0)
    ours = [Order(name, "bundle", f"out/{index}") for index, name in enumerate(NAMES[:2])]
    rivals = [Order(name, "diffusers", "sd15", dtype) for name, dtype in zip(NAMES[2:], ("fp32", "bf16", "bf16"))]
    peaks = (
        (2.9e9, 2.2e9, 1.6e9),
        (5.6e9, 4.1e9, 3.4e9),
        (7.9e9, 5.2e9, 0.0),
        (4.6e9, 3.0e9, 0.0),
        (5.9e9, 3.3e9, 0.0),
    )
    decibels = ((29.0, 34.0, 31.5), (88.0, 92.0, 90.0), (100.0, 100.0, 100.0), (38.0, 43.0, 40.0), None)
    work = {
        "unet": Work(
            (Product("convolution", "f32", int(1.1e12)), Product("linear", "f32", int(0.5e12))), int(3.4e9), int(1e6)
        ),
        "vae_decoder": Work((Product("convolution", "f32", int(1.2e12)),), int(2e8), int(1e5)),
    }  # fmt: skip
    subjects = tuple(
        Measured(
            order, Opened(5.0, "openvino:cpu" if order.kind == "bundle" else "torch:cpu", packages={"torch": "2.13"}),
            Loads((Load(9.0, 8.0),), (Load(6.0, 5.0),)), 60.0, memory(*most),
            floor=MemoryFloor(int(0.6 * most[1]), int(0.58 * most[1])) if order.kind == "bundle" else None,
            quality=found and Quality("golden images of Diffusers", tuple(Likeness("a", d, 0.9, None) for d in found)),
            work=work if order.kind == "bundle" else {},
        )
        for order, most, found in zip(ours + rivals, peaks, decibels)
    )  # fmt: skip
    hosts = (0.004, 0.002, 0.01, 0.01, None)
    point = Point(
        CALL, tuple(series(step, rng, host=host) for step, host in zip(STEPS_S, hosts)), (Moment(0.0, STATE),)
    )
    load = ForeignLoad(1200.0, 1.9, 0.02, 0.0, 12, None, STATE, STATE)
    return Run(subjects, (point,), load, Peaks((Peak("f32", 2.4e11, "openvino"),), 2.1e10, 9e9))


def demo():
    """One subject, at 5 ms a step, on a GPU, with a profile."""
    rng = np.random.default_rng(1)
    run = large()
    profile = Profile((Operator("unet", "conv", "convolution", "fp32", ("down_blocks.0",), 10, 0.01),), {"unet": 0.02})
    subject = replace(
        run.subjects[0], order=Order("demo", "bundle", "out/demo"), memory=memory(310e6, 280e6, 60e6), quality=None,
        vram=Vram("NVML", int(700e6), int(710e6)), floor=None, profile=profile,
    )  # fmt: skip
    point = Point(CALL, (series(0.005, rng, 30, noise=0.1),))
    return replace(run, subjects=(subject,), points=(point,), peaks=None)


def swept():
    """The five at 2 batches, 3 sizes and 2 numbers of steps; the third fails on the largest."""
    rng = np.random.default_rng(2)
    run, points = large(), []
    for images in (1, 2):
        for side in (256, 512, 768):
            for steps in (10, 20):
                call = replace(CALL, images=images, height=side, width=side, steps=steps)
                times = [step * (side / 512) ** 2.2 for step in STEPS_S]
                found = [series(step, rng, 3, call) for step in times]
                if images * side > 1000:
                    found[2] = Series(skipped="diffusers fp32: its process was killed by SIGKILL")
                points.append(Point(call, tuple(found)))
    points.sort(key=lambda point: point.call != CALL)
    return replace(run, points=tuple(points))


def sustained(minutes=10):
    """Two subjects in turns for so long, and a processor that becomes hot."""
    rng = np.random.default_rng(3)
    taken, ends, at_s, moments = [[], []], [[], []], 0.0, []
    while at_s < 60 * minutes:
        slower = 1.0 + 0.18 / (1 + np.exp(-(at_s - 200) / 40))
        moments.append(Moment(at_s, CpuState(3200.0 / slower, 55 + 100 * (slower - 1), 0)))
        for index, step in enumerate((0.3, 0.42)):
            found = sample(step * slower, 10, rng, 0.02)
            at_s += found.total
            taken[index].append(found)
            ends[index].append(at_s)
    both = tuple(Series(tuple(one), tuple(end)) for one, end in zip(taken, ends))
    return Point(CALL, both, tuple(moments))


def result(run):
    return Result(FORMAT, MACHINE, Patience(), run)
