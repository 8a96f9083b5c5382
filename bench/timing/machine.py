"""What a measurement was made on, as far as the system tells."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from ...runtime.cuda import device
from ...runtime.errors import Error
from .arm_parts import arm_name
from .cgroup import cpu_quota, memory_limit_bytes
from .cpu_state import CpuState, cpu_state, governors, max_mhz, physical_cores
from .told import told

PACKAGES = (
    "aquatint", "numpy", "openvino", "onnxruntime", "onnxruntime-gpu", "tensorrt", "torch", "diffusers",
)  # fmt: skip
# Those that engines choose their kernels by: wide vectors, and products of small integers and floats.
FLAGS = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip


@dataclass(frozen=True)
class NvidiaGpu:
    """One GPU.  architecture: "sm89" for compute capability 8.9.  cuda: the release that the driver runs.

    driver: its own version, such as "550.54.15"; None where /proc does not tell.
    """

    name: str
    architecture: str
    memory_bytes: int
    cuda: str
    driver: str | None


@dataclass(frozen=True)
class Machine:
    """None for what the system does not tell, which is much outside of Linux.

    board: the maker's name of the device.  cpus: processors as the system counts them.  cores: those of one core
    count once.  allowed: the processors that this process may use, as Linux writes them ("0-3,8").
    quota: cores' worth of time that a control group allows; None also where nothing limits it, as memory_limit_bytes.
    flags: those of FLAGS that every processor has.  governors: empty where none is told.
    virtual: whether the processor says that it is a virtual machine's (x86 only).  now: when this was asked.
    packages: of PACKAGES those installed, with their versions.
    """

    cpu: str | None
    board: str | None
    architecture: str
    cpus: int | None
    cores: int | None
    allowed: str | None
    quota: float | None
    flags: tuple[str, ...] | None
    governors: tuple[str, ...]
    max_mhz: float | None
    virtual: bool | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    swap_bytes: int | None
    system: str
    python: str
    packages: dict[str, str]
    gpus: tuple[NvidiaGpu, ...]
    now: CpuState


def describe_machine(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Machine:
    """This machine, as this process may use it.  proc, sys: where Linux tells of itself."""
    cpus = [_keys(block) for block in (told(proc / "cpuinfo") or "").split("\n\n")]
    cpus = [cpu for cpu in cpus if "processor" in cpu]
    flags = [set(text.split()) for cpu in cpus if (text := cpu.get("flags", cpu.get("Features")))]
    memory = _keys(told(proc / "meminfo") or "")
    return Machine(
        cpu=_cpu_name(cpus),
        board=_board(sys),
        architecture=platform.machine(),
        cpus=len(cpus) or os.cpu_count(),
        cores=physical_cores(sys),
        allowed=_keys(told(proc / "self" / "status") or "").get("Cpus_allowed_list"),
        quota=cpu_quota(proc, sys),
        flags=tuple(flag for flag in FLAGS if all(flag in has for has in flags)) if flags else None,
        governors=governors(sys),
        max_mhz=max_mhz(sys),
        # Processors other than x86 write no such flag, whether virtual or not.
        virtual="hypervisor" in flags[0] if flags and "flags" in cpus[0] else None,
        memory_bytes=_kilobytes(memory.get("MemTotal")) or _physical_bytes(),
        memory_limit_bytes=memory_limit_bytes(proc, sys),
        swap_bytes=_kilobytes(memory.get("SwapTotal")),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages=_packages(),
        gpus=_gpus(proc),
        now=cpu_state(sys),
    )


def one_line(machine: Machine) -> str:
    """For the foot of a table: the processor, how much of it, memory, GPUs, and the system."""
    parts = [machine.cpu or machine.board or machine.architecture]
    if machine.cpus is not None:
        parts.append(f"{machine.cpus} CPU{'s' if machine.cpus != 1 else ''}{_share(machine)}")
    if machine.memory_bytes is not None:
        least = min(machine.memory_bytes, machine.memory_limit_bytes or machine.memory_bytes)
        parts.append(f"{least / 2**30:.1f} GiB")
    if machine.governors:
        parts.append(" and ".join(machine.governors))
    parts += [f"{gpu.name} ({gpu.architecture}, CUDA {gpu.cuda})" for gpu in machine.gpus]
    if machine.virtual:
        parts.append("virtual machine")
    return ", ".join([*parts, machine.system])


def _share(machine: Machine) -> str:
    """What this process may use of the processors, where it is not all."""
    said = []
    if machine.allowed is not None and (allowed := _count(machine.allowed)) != machine.cpus:
        said.append(f"{allowed} allowed")
    if machine.quota is not None:
        said.append(f"quota of {machine.quota:g}")
    return f" ({', '.join(said)})" if said else ""


def _count(listed: str) -> int:
    """Of "0-3,8"."""
    ends = [part.split("-") for part in listed.split(",") if part]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)


def _keys(text: str) -> dict[str, str]:
    """Of lines such as "model name : Xeon"."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _cpu_name(cpus: list[dict[str, str]]) -> str | None:
    """One name, or several where the processors differ."""
    names = [cpu.get("model name") or arm_name(cpu.get("CPU implementer"), cpu.get("CPU part")) for cpu in cpus]
    found = ", ".join(dict.fromkeys(name for name in names if name))
    if found or cpus:
        return found or None
    name = platform.processor()  # which on Linux is no more than the architecture, if anything
    return name if name and name != platform.machine() else None


def _board(sys: Path) -> str | None:
    tree = told(sys / "firmware" / "devicetree" / "base" / "model")
    dmi = [told(sys / "class" / "dmi" / "id" / name) for name in ("sys_vendor", "product_name")]
    return tree or " ".join(name for name in dmi if name) or None


def _kilobytes(text: str | None) -> int | None:
    """Of "24684092 kB"."""
    return None if text is None else 1024 * int(text.split()[0])


def _physical_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, others not these names
        return None


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _gpus(proc: Path) -> tuple[NvidiaGpu, ...]:
    """None of them where CUDA's bindings, driver or devices are missing."""
    try:
        found, cuda = device.gpus(), device.driver_version()
    except Error:
        return ()
    match = re.search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)", told(proc / "driver" / "nvidia" / "version") or "")
    driver = match.group(1) if match else None
    return tuple(NvidiaGpu(gpu.name, gpu.architecture, gpu.total_bytes, cuda, driver) for gpu in found)
