"""What a process's memory is made of, and how it changes: of made-up processes, and of a real one."""

import os
import subprocess
import sys
import time

import pytest

from aquatint.bench.process_memory import memory_bytes, status_bytes
from aquatint.bench.timing.mappings import Parts, bundle_files, resident_parts
from aquatint.bench.timing.memory import MemoryUse, MemoryWatch, StageMemory
from aquatint.tests.bench.timing.made_up import write_tree

KB, MB = 1024, 2**20


def status(resident, anonymous, peak):
    """Of process 7, in kB."""
    text = f"Name:\tpython\nVmHWM:\t{peak} kB\nVmRSS:\t{resident} kB\nRssAnon:\t{anonymous} kB\n"
    return {"7/status": f"{text}RssFile:\t{resident - anonymous} kB\nThreads:\t3\n"}


def mapping(name, rss, anonymous=0, pss=None):
    start = f"7f00aa000000-7f00bb000000 r--p 00000000 fe:00 260386{' ' * 20}{name}".rstrip()
    sizes = f"Size: 9999 kB\nRss: {rss} kB\nPss: {rss if pss is None else pss} kB\nAnonymous: {anonymous} kB\n"
    return f"{start}\n{sizes}THPeligible:           0\nVmFlags: rd mr mw me \n"


def test_resident_memory_is_told_by_where_it_comes_from(tmp_path):
    text = mapping("/b/unet model.bin", 4000, pss=2000) + mapping("/b/unet model.bin (deleted)", 100)
    text += mapping("/b-other/x.bin", 50) + mapping("/usr/lib/libc.so.6", 300, anonymous=20, pss=60)
    text += mapping("", 700, anonymous=700) + mapping("[heap]", 30, anonymous=30) + mapping("[vdso]", 0)
    text += mapping("/dev/shm/queue", 11) + mapping("/memfd:pool (deleted)", 2)
    found = resident_parts(7, {"/b/unet model.bin"}, write_tree(tmp_path, {"7/smaps": text}))
    whole = 2000 + 100 + 50 + 60 + 700 + 30 + 11 + 2
    assert found == Parts(4100 * KB, (50 + 280) * KB, (700 + 30 + 20) * KB, 13 * KB, whole * KB)
    assert found.resident == (4000 + 100 + 50 + 300 + 700 + 30 + 11 + 2) * KB


def test_a_process_that_tells_nothing_has_no_parts(tmp_path):
    assert resident_parts(7, (), write_tree(tmp_path, {"7/smaps": ""})) is None
    assert resident_parts(8, (), tmp_path) is None


def test_the_files_of_a_bundle_are_known_by_what_links_lead_to(tmp_path):
    store = write_tree(tmp_path / "store", {"ab12": "weights"})
    bundle = write_tree(tmp_path / "bundle", {"unet/model.bin": "weights"})
    (bundle / "vae.bin").symlink_to(store / "ab12")
    assert bundle_files(bundle) == {str(store / "ab12"), str(bundle / "unet/model.bin")}


def test_stages_and_the_steady_state_are_kept_apart(tmp_path):
    """Without the thread's own samples, which would come when they come."""
    proc = write_tree(tmp_path, status(100, 60, 500))
    watch = MemoryWatch(7, every_s=60, proc=proc)
    watch.start("load")
    write_tree(proc, status(300, 200, 500))
    watch.mark("first")
    write_tree(proc, status(250, 150, 500))
    watch.settle()
    write_tree(proc, status(270, 100, 900) | {"7/smaps": mapping("", 270, anonymous=270)})
    found = watch.stop()
    # No clear_refs here, so that stages have only samples to go by.
    own = Parts(0, 0, 270 * KB, 0, 270 * KB)
    assert found == MemoryUse(
        900 * KB, 260 * KB, 125 * KB,
        (StageMemory("load", 300 * KB, False, 200 * KB, 100 * KB, None),
         StageMemory("first", 300 * KB, False, 200 * KB, 170 * KB, own)),
    )  # fmt: skip


def test_a_kernel_that_counts_anew_makes_the_peak_of_a_stage_exact(tmp_path):
    proc = write_tree(tmp_path, status(100, 60, 500) | {"7/clear_refs": ""})
    watch = MemoryWatch(7, every_s=60, proc=proc)
    watch.start("load")
    assert (proc / "7/clear_refs").read_text() == "5"
    write_tree(proc, status(110, 60, 400))
    watch.mark("denoise")
    write_tree(proc, status(105, 60, 120))
    found = watch.stop()
    assert [(stage.peak, stage.exact) for stage in found.stages] == [(400 * KB, True), (120 * KB, True)]
    assert found.peak == 500 * KB, "what was before the watch counts in the peak of the process"


def test_a_process_that_is_not_there_has_no_figures(tmp_path):
    watch = MemoryWatch(7, proc=tmp_path)
    watch.start("load")
    assert watch.stop() == MemoryUse(None, None, None, (StageMemory("load", None, False, None, None, None),))


def test_this_process_and_any_other_are_read_alike(tmp_path):
    assert status_bytes(7, write_tree(tmp_path, status(100, 60, 500)))["VmHWM"] == 500 * KB
    assert status_bytes(8, tmp_path) == {}
    if sys.platform == "linux":
        assert memory_bytes("VmRSS") == pytest.approx(status_bytes(os.getpid())["VmRSS"], rel=0.1)
        assert memory_bytes("VmNothing") is None


# Maps the file, reads it, has 60 MB for a moment and keeps 20 MB; goes on with every line that it is sent.
WORKER = """
import mmap, sys
file = open(sys.argv[1], "rb")
weights = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
total = sum(weights[i] for i in range(0, len(weights), 4096))
print("mapped", flush=True); sys.stdin.readline()
short = bytearray(b"x") * (60 << 20); del short
kept = bytearray(b"y") * (20 << 20)
print("worked", flush=True); sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="told by Linux only")
def test_a_real_process_tells_its_mapped_weights_its_short_peak_and_what_it_keeps(tmp_path):
    weights = tmp_path / "model.bin"
    weights.write_bytes(os.urandom(MB) * 30)
    command = [sys.executable, "-S", "-c", WORKER, str(weights)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        watch = MemoryWatch(worker.pid, every_s=0.01, bundle=tmp_path)
        watch.start("load")
        assert worker.stdout.readline() == "mapped\n"
        watch.mark("work")
        worker.stdin.write("\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == "worked\n"
        watch.settle()
        time.sleep(0.05)
        found = watch.stop()
        worker.communicate("\n", timeout=30)
    load, work = found.stages
    assert load.parts.weights == work.parts.weights == 30 * MB
    assert work.parts.anonymous - load.parts.anonymous == pytest.approx(20 * MB, abs=3 * MB)
    assert work.parts.resident == pytest.approx(found.steady, abs=3 * MB)
    if work.exact:
        assert work.peak - load.peak == pytest.approx(60 * MB, abs=8 * MB)
        assert found.peak == work.peak
