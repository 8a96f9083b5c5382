"""What others took while something was measured: of made-up counters, and of a real process."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from aquatint.bench.timing.cpu_state import CpuState
from aquatint.bench.timing.foreign_load import ForeignLoad, LoadWatch
from aquatint.bench.timing.processes import family
from aquatint.tests.bench.timing.made_up import process, processors, write_tree

OURS = os.getpid()
TICK = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
QUIET = ForeignLoad(10.0, 1.9, 0.04, 0.0, 12, 0.0, CpuState(3000.0, 50.0, 7), CpuState(2900.0, 70.0, 7))


@pytest.fixture
def watch(tmp_path):
    """Counters before and after, and what was made of them, in ticks in place of shares."""

    def between(before, after, pids=()):
        proc, sys = write_tree(tmp_path / "proc", before), tmp_path / "sys"
        watching = LoadWatch(pids, proc, sys)
        watching.start()
        write_tree(proc, after)
        found = watching.stop()

        def ticks(cores):
            return None if cores is None else cores * found.seconds / TICK

        return replace(found, own_cores=ticks(found.own_cores), other_cores=ticks(found.other_cores))

    return between


def test_what_is_not_ours_is_of_others(watch):
    before = processors(user=1000, idle=50000) | process(OURS, 1, ticks=(100, 10, 0, 0))
    after = processors(user=1150, nice=20, system=10, irq=3, softirq=2, idle=90000, iowait=800)
    found = watch(before, after | process(OURS, 1, ticks=(160, 20, 0, 0)))
    assert found.own_cores == pytest.approx(70)
    assert found.other_cores == pytest.approx(150 + 20 + 10 + 3 + 2 - 70)


def test_descendants_are_ours_while_they_run_and_when_they_have_ended(watch):
    before = process(OURS, 1) | process(900001, OURS, "a (b) c", (5, 0, 0, 0)) | process(900002, 900001)
    before |= process(900003, 1, ticks=(500, 0, 0, 0))
    # The first has ended another child of its own; the stranger has worked as well.
    after = process(900001, OURS, "a (b) c", (15, 0, 30, 2)) | process(900002, 900001, ticks=(40, 8, 0, 0))
    after |= process(900003, 1, ticks=(900, 0, 0, 0))
    found = watch(processors(user=0) | before, processors(user=500) | after)
    assert found.own_cores == pytest.approx(10 + 32 + 48)
    assert found.other_cores == pytest.approx(500 - 90)


def test_trees_of_other_processes_can_be_ours_too(watch):
    before = processors() | process(OURS, 1) | process(900003, 1) | process(900004, 900003)
    after = processors(user=50) | process(900003, 1, ticks=(20, 0, 0, 0)) | process(900004, 900003, ticks=(30, 0, 0, 0))
    assert watch(before, after, [900003]).other_cores == 0


def test_the_time_of_others_is_unknown_where_a_process_of_ours_is_gone(tmp_path):
    proc = write_tree(tmp_path / "proc", processors() | process(OURS, 1) | process(900003, 1))
    watching = LoadWatch([900003], proc, tmp_path / "sys")
    watching.start()
    (proc / "900003/stat").unlink()
    found = watching.stop()
    assert (found.own_cores, found.other_cores) == (None, None)


def test_steal_is_a_share_of_the_time_that_was_wanted(watch):
    found = watch(processors(user=100, steal=7) | process(OURS, 1), processors(user=280, steal=27, idle=9999))
    assert found.steal_share == pytest.approx(20 / 200)


def test_threads_of_ours_tell_how_often_they_lost_their_processor(watch):
    thread = f"{OURS}/task/900009/status"
    before = process(OURS, 1, switches=5)
    after = {**process(OURS, 1, switches=9), thread: "nonvoluntary_ctxt_switches:\t3\n"}
    assert watch(processors() | before, after).involuntary_switches == 7


@pytest.mark.parametrize(
    "path, before, after",
    [("cpu.stat", "nr_throttled 1\nthrottled_usec 500000\n", "nr_throttled 4\nthrottled_usec 2000000\n"),
     ("cpu/cpu.stat", "nr_throttled 1\nthrottled_time 500000000\n", "nr_throttled 4\nthrottled_time 2000000000\n")],
)  # fmt: skip
def test_a_quota_tells_how_long_it_held_us_back(tmp_path, path, before, after):
    listed = "4:cpu:/\n" if path.startswith("cpu/") else "0::/\n"
    proc = write_tree(tmp_path / "proc", processors() | process(OURS, 1) | {"self/cgroup": listed})
    sys_ = write_tree(tmp_path / "sys", {f"fs/cgroup/{path}": before, "fs/cgroup/cgroup.controllers": "cpu"})
    watching = LoadWatch((), proc, sys_)
    watching.start()
    write_tree(tmp_path / "sys", {f"fs/cgroup/{path}": after})
    assert watching.stop().held_back_s == pytest.approx(1.5)


def test_a_system_that_tells_nothing_is_not_warned_of(tmp_path):
    watching = LoadWatch((), tmp_path / "proc", tmp_path / "sys")
    watching.start()
    found = watching.stop()
    told = (found.own_cores, found.other_cores, found.steal_share, found.involuntary_switches, found.held_back_s)
    assert told == (None,) * 5
    assert found.throttled is None
    assert found.warning() is None


def test_a_quiet_machine_has_no_warning():
    assert QUIET.warning() is None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"other_cores": 0.97}, "other processes kept 0.97 cores busy"),
        ({"steal_share": 0.031}, "the host withheld 3.1 % of the processor time"),
        ({"held_back_s": 1.5}, "a CPU quota held it back for 1.50 s"),
        ({"after": CpuState(2000.0, 99.0, 9)}, "heat throttled the processors 2 times"),
    ],
)
def test_what_may_spoil_times_is_warned_of(change, words):
    assert replace(QUIET, **change).warning() == f"During the measurement {words}."


def test_several_causes_make_one_sentence():
    found = replace(QUIET, other_cores=0.5, steal_share=0.1, held_back_s=2.0)
    assert found.warning() == (
        "During the measurement other processes kept 0.50 cores busy, the host withheld 10.0 % of the processor time "
        "and a CPU quota held it back for 2.00 s."
    )


def test_a_few_ticks_of_a_short_run_are_no_load():
    assert replace(QUIET, seconds=0.1, other_cores=0.3).warning() is None


def test_a_watch_that_was_not_started_says_so():
    with pytest.raises(RuntimeError, match="call start"):
        LoadWatch().stop()


BUSY = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"


@pytest.mark.skipif(sys.platform != "linux", reason="counted by Linux only")
def test_a_busy_process_is_ours_or_a_strangers_by_its_parents():
    """Compared with what the process itself had, as the tests run on machines that are busy already."""
    child = subprocess.Popen([sys.executable, "-S", "-c", BUSY])
    # A shell that ends at once leaves its child to the first process.
    shell = ["sh", "-c", '"$0" -S -c "$1" >/dev/null 2>&1 & echo $!', sys.executable, BUSY]
    stranger = int(subprocess.run(shell, capture_output=True, text=True, check=True).stdout)
    try:
        watching = LoadWatch()
        before = [family([pid])[pid].ticks for pid in (child.pid, stranger)]
        watching.start()
        time.sleep(0.7)
        found = watching.stop()
        had = [family([pid])[pid].ticks - first for pid, first in zip((child.pid, stranger), before)]
        # What they had was read outside of the watch, and so is the more; how much depends on who else runs.
        assert 0.5 * had[0] * TICK < found.own_cores * found.seconds < had[0] * TICK + 0.1
        assert found.other_cores * found.seconds > 0.5 * had[1] * TICK
        assert had[0] * TICK > 0.05
        assert had[1] * TICK > 0.05
    finally:
        child.kill()
        child.wait()
        os.kill(stranger, signal.SIGKILL)
