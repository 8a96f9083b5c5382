"""Whether this machine was ours alone while something was measured: what other processes, the host and heat took."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from .cgroup import held_back_s
from .cpu_state import CpuState, cpu_state
from .processes import Process, family, lost_processor
from .told import told

# What may pass in silence.  A machine at rest keeps a few hundredths of a core busy with itself.
CORES = 0.1
STEAL = 0.02
LEAST_S = 0.05  # Linux counts in hundredths of a second, each process for itself: less than this is rounding


@dataclass(frozen=True)
class ForeignLoad:
    """What was seen between start and stop; None for what the system does not tell, which is all but Linux.

    own_cores, other_cores: kept busy on average, by our processes and by all else, the kernel's interrupts included.
    In a container /proc may count the whole host.
    steal_share: of the time that the processors had work, what a virtual machine's host gave to somebody else.
    involuntary_switches: how often our threads had to let go of a processor; of those that ran at the end.
    held_back_s: how long a control group's quota kept our threads waiting.
    before, after: the processors' state.
    """

    seconds: float
    own_cores: float | None
    other_cores: float | None
    steal_share: float | None
    involuntary_switches: int | None
    held_back_s: float | None
    before: CpuState
    after: CpuState

    @property
    def throttled(self) -> int | None:
        """How often heat held the processors back meanwhile."""
        if self.before.throttle_count is None or self.after.throttle_count is None:
            return None
        return self.after.throttle_count - self.before.throttle_count

    def warning(self) -> str | None:
        """A sentence about what may have spoilt the times; None where nothing did, or nothing was told."""
        causes = []
        if self.other_cores is not None and self.other_cores > CORES and self.other_cores * self.seconds > LEAST_S:
            causes.append(f"other processes kept {self.other_cores:.2f} cores busy")
        if self.steal_share is not None and self.steal_share > STEAL:
            causes.append(f"the host withheld {100 * self.steal_share:.1f} % of the processor time")
        if self.held_back_s:
            causes.append(f"a CPU quota held it back for {self.held_back_s:.2f} s")
        if self.throttled:
            causes.append(f"heat throttled the processors {self.throttled} times")
        return f"During the measurement {_joined(causes)}." if causes else None


class LoadWatch:
    """Start it before what is measured, stop it after.

    Ours are this process and its descendants, those that end meanwhile too, and the trees of `pids`.
    """

    def __init__(self, pids: Collection[int] = (), proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> None:
        self._roots = {os.getpid(), *pids}
        self._proc, self._sys = proc, sys
        self._start: _Moment | None = None

    def start(self) -> None:
        """From here on; a second start forgets the first."""
        self._start = self._moment()

    def stop(self) -> ForeignLoad:
        """Up to here.  It may be called again, for the time since the same start.

        other_cores is None where one of `pids` has ended, as the time that it had is then unknown.
        Raises RuntimeError before start.
        """
        if self._start is None:
            raise RuntimeError("the watch was not started; call start() before what is measured")
        first, last = self._start, self._moment()
        seconds = last.at_s - first.at_s
        busy, own, steal = _since(first, last)
        return ForeignLoad(
            seconds=seconds,
            own_cores=None if own is None else own / seconds,
            # The kernel counts a process more finely than a processor, so ours alone may seem to be more than all.
            other_cores=None if busy is None or own is None else max(0.0, busy - own) / seconds,
            steal_share=None if busy is None or steal is None else _share(steal, busy + steal),
            involuntary_switches=_increase(first.switches, last.switches) if last.switches else None,
            held_back_s=None if first.held_s is None or last.held_s is None else last.held_s - first.held_s,
            before=first.state,
            after=last.state,
        )

    def _moment(self) -> _Moment:
        busy, steal = _processors(self._proc)
        # The same order at start and stop: what the reading itself takes cancels out.
        ours = family(self._roots, self._proc)
        return _Moment(
            time.perf_counter(), busy, steal, {pid: ours[pid] for pid in self._roots if pid in ours}, _ticks(ours),
            lost_processor(ours, self._proc), held_back_s(self._proc, self._sys), cpu_state(self._sys),
        )  # fmt: skip


@dataclass(frozen=True)
class _Moment:
    """busy, steal, own: in ticks.  roots: those that run."""

    at_s: float
    busy: int | None
    steal: int | None
    roots: dict[int, Process]
    own: int | None
    switches: dict[tuple[int, int], int]
    held_s: float | None
    state: CpuState


def _since(first: _Moment, last: _Moment) -> tuple[float | None, float | None, float | None]:
    """Seconds of all work, of ours, and of steal."""
    if first.busy is None or last.busy is None or first.steal is None or last.steal is None:
        return None, None, None
    ticks = os.sysconf("SC_CLK_TCK")
    ended = set(first.roots) - set(last.roots)
    own = None if first.own is None or last.own is None or ended else (last.own - first.own) / ticks
    return (last.busy - first.busy) / ticks, own, (last.steal - first.steal) / ticks


def _processors(proc: Path) -> tuple[int | None, int | None]:
    """Ticks of all processors together: with work, and stolen."""
    line = (told(proc / "stat") or "").partition("\n")[0].split()
    if len(line) < 9 or line[0] != "cpu":
        return None, None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line[1:9])
    return user + nice + system + irq + softirq, steal


def _ticks(ours: dict[int, Process]) -> int | None:
    return sum(one.ticks for one in ours.values()) if ours else None


def _share(steal: float, wanted: float) -> float:
    return steal / wanted if steal > LEAST_S else 0.0


def _increase(before: dict[tuple[int, int], int], after: dict[tuple[int, int], int]) -> int:
    return sum(count - before.get(thread, 0) for thread, count in after.items())


def _joined(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
