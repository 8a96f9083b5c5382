"""How the processors are driven, and how warm they are."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from .told import told, told_number

CPUS = "devices/system/cpu"
THROTTLES = ("core_throttle_count", "package_throttle_count")


@dataclass(frozen=True)
class CpuState:
    """The processors at one moment; None for what the system does not tell.

    current_mhz: the mean over the processors.  temperature_c: of the hottest zone, which may be another chip's.
    throttle_count: how often heat has held cores and packages back since the start of the system, over all
    processors that count it (Intel's); only its increase means something.
    """

    current_mhz: float | None = None
    temperature_c: float | None = None
    throttle_count: int | None = None


def cpu_state(sys: Path = Path("/sys")) -> CpuState:
    """Now."""
    frequencies = _numbers(sys / CPUS, "cpu[0-9]*/cpufreq/scaling_cur_freq")
    zones = _numbers(sys / "class" / "thermal", "thermal_zone*/temp")
    throttles = [count for name in THROTTLES for count in _numbers(sys / CPUS, f"cpu[0-9]*/thermal_throttle/{name}")]
    return CpuState(
        current_mhz=statistics.mean(frequencies) / 1e3 if frequencies else None,
        temperature_c=max(zones) / 1e3 if zones else None,
        throttle_count=sum(throttles) if throttles else None,
    )


def governors(sys: Path = Path("/sys")) -> tuple[str, ...]:
    """What decides on the processors' frequency, such as "powersave"; more than one where processors differ."""
    files = (sys / CPUS).glob("cpu[0-9]*/cpufreq/scaling_governor")
    return tuple(sorted({name for name in map(told, files) if name}))


def max_mhz(sys: Path = Path("/sys")) -> float | None:
    """The highest frequency that any processor can have."""
    found = _numbers(sys / CPUS, "cpu[0-9]*/cpufreq/cpuinfo_max_freq")
    return max(found) / 1e3 if found else None


def physical_cores(sys: Path = Path("/sys")) -> int | None:
    """Processors of one core count once."""
    files = (sys / CPUS).glob("cpu[0-9]*/topology/thread_siblings_list")
    return len({siblings for siblings in map(told, files) if siblings}) or None


def _numbers(folder: Path, pattern: str) -> list[int]:
    return [number for number in map(told_number, sorted(folder.glob(pattern))) if number is not None]
