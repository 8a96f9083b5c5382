"""What is told of machines that are not here, and of this one."""

import sys as python
from dataclasses import replace

import pytest

from aquatint.bench.timing import machine as asked
from aquatint.bench.timing.cpu_state import CpuState
from aquatint.bench.timing.machine import Machine, NvidiaGpu, describe_machine, one_line
from aquatint.runtime.cuda.device import Gpu
from aquatint.runtime.errors import TargetMismatch
from aquatint.runtime.record import from_table, to_table
from aquatint.tests.bench.timing.made_up import write_tree

XEON = """processor\t: {i}
model name\t: Intel(R) Xeon(R) Gold 6430
cpu MHz\t\t: 2100.000
flags\t\t: fpu sse2 avx2 {virtual}avx512f avx512_vnni amx_tile amx_int8
"""
PI = """processor\t: {i}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 asimdhp cpuid asimddp
CPU implementer\t: 0x41
CPU part\t: {part}
"""
PI_END = "Revision\t: d04170\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n"


@pytest.fixture(autouse=True)
def no_gpus(monkeypatch):
    def none():
        raise TargetMismatch("no NVIDIA driver")

    monkeypatch.setattr(asked.device, "gpus", none)


@pytest.fixture
def proc(tmp_path):
    return tmp_path / "proc"


@pytest.fixture
def sys(tmp_path):
    return tmp_path / "sys"


def describe_server(proc, sys, virtual="", **more):
    cpus = "\n".join(XEON.format(i=i, virtual=virtual) for i in range(4)) + "\n"
    status = "Name:\tpython\nCpus_allowed:\tf\nCpus_allowed_list:\t0-1,3\n"
    memory = "MemTotal:       24684092 kB\nMemFree: 1 kB\nSwapTotal:       2048 kB\n"
    write_tree(proc, {"cpuinfo": cpus, "self/status": status, "meminfo": memory, **more})
    base = "devices/system/cpu"
    files = {"class/dmi/id/sys_vendor": "Dell Inc.\n", "class/dmi/id/product_name": "PowerEdge R760\n"}
    files |= {"class/thermal/thermal_zone0/temp": "45000\n", "class/thermal/thermal_zone1/temp": "61500\n"}
    for i in range(4):
        files |= {
            f"{base}/cpu{i}/cpufreq/scaling_governor": ("performance\n", "powersave\n")[i == 3],
            f"{base}/cpu{i}/cpufreq/scaling_cur_freq": f"{2000000 + 100000 * i}\n",
            f"{base}/cpu{i}/cpufreq/cpuinfo_max_freq": "3400000\n",
            f"{base}/cpu{i}/topology/thread_siblings_list": f"{i % 2},{i % 2 + 2}\n",
            f"{base}/cpu{i}/thermal_throttle/core_throttle_count": f"{i}\n",
            f"{base}/cpu{i}/thermal_throttle/package_throttle_count": "10\n",
        }
    return describe_machine(proc, write_tree(sys, files))


def test_a_server_tells_all(proc, sys):
    found = describe_server(proc, sys)
    assert (found.cpu, found.board) == ("Intel(R) Xeon(R) Gold 6430", "Dell Inc. PowerEdge R760")
    assert (found.cpus, found.cores, found.allowed, found.quota) == (4, 2, "0-1,3", None)
    assert found.flags == ("avx2", "avx512f", "avx512_vnni", "amx_tile", "amx_int8")
    assert (found.governors, found.max_mhz, found.virtual) == (("performance", "powersave"), 3400.0, False)
    assert (found.memory_bytes, found.memory_limit_bytes, found.swap_bytes) == (24684092 * 1024, None, 2048 * 1024)
    assert found.now == CpuState(current_mhz=2150.0, temperature_c=61.5, throttle_count=46)


def test_a_virtual_machine_is_known_by_the_flag_of_its_processor(proc, sys):
    assert describe_server(proc, sys, virtual="hypervisor ").virtual is True


def test_an_arm_board_has_its_cores_by_name(proc, sys):
    blocks = [PI.format(i=0, part="0xd0b"), PI.format(i=1, part="0xd0b"), PI_END]
    write_tree(proc, {"cpuinfo": "\n".join(blocks), "meminfo": "MemTotal: 8245248 kB\n"})
    write_tree(sys, {"firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0\0"})
    found = describe_machine(proc, sys)
    assert (found.cpu, found.board, found.cpus) == ("Cortex-A76", "Raspberry Pi 5 Model B Rev 1.0", 2)
    assert found.flags == ("asimdhp", "asimddp")
    assert found.virtual is None, "Arm's flags never name a hypervisor"
    assert (found.governors, found.max_mhz, found.cores, found.allowed) == ((), None, None, None)


def test_cores_that_differ_are_all_named_and_share_only_some_flags(proc, sys):
    big = PI.format(i=1, part="0xfff").replace("asimddp", "asimddp i8mm")
    write_tree(proc, {"cpuinfo": PI.format(i=0, part="0xd03") + "\n" + big})
    found = describe_machine(proc, sys)
    assert found.cpu == "Cortex-A53, implementer 0x41, part 0xfff"
    assert found.flags == ("asimdhp", "asimddp")


@pytest.mark.parametrize(
    "listed, files",
    [
        ("0::/job\n", {"cgroup.controllers": "cpu memory\n", "cpu.max": "max 100000\n", "memory.max": "max\n",
                       "job/cpu.max": "150000 100000\n", "job/memory.max": "1073741824\n"}),
        # A limit that lies on the group around ours.
        ("0::/job/inner\n", {"cgroup.controllers": "cpu\n", "job/cpu.max": "150000 100000\n", "job/inner/cpu.max":
                             "max 100000\n", "job/inner/memory.max": "max\n", "job/memory.max": "1073741824\n"}),
        # Version 1 in a container, where the path is the host's and not to be seen.
        ("5:cpu,cpuacct:/docker/1f\n3:memory:/docker/1f\n0::/\n",
         {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n",
          "memory/memory.limit_in_bytes": "1073741824\n"}),
    ],
)  # fmt: skip
def test_a_container_tells_its_quota_and_its_memory(proc, sys, listed, files):
    write_tree(sys, {f"fs/cgroup/{path}": text for path, text in files.items()})
    found = describe_server(proc, sys, **{"self/cgroup": listed})
    assert (found.quota, found.memory_limit_bytes) == (1.5, 2**30)
    assert one_line(found).startswith("Intel(R) Xeon(R) Gold 6430, 4 CPUs (3 allowed, quota of 1.5), 1.0 GiB")


def test_a_group_without_limits_has_none(proc, sys):
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n",
             "memory/memory.limit_in_bytes": "9223372036854771712\n"}  # fmt: skip
    write_tree(sys, {f"fs/cgroup/{path}": text for path, text in files.items()})
    found = describe_server(proc, sys, **{"self/cgroup": "5:cpu:/\n3:memory:/\n"})
    assert (found.quota, found.memory_limit_bytes) == (None, None)


def test_a_machine_that_tells_nothing_has_nothing_made_up(tmp_path, monkeypatch):
    monkeypatch.setattr(asked.platform, "processor", lambda: "")
    found = describe_machine(tmp_path / "proc", tmp_path / "sys")
    unknown = ("cpu", "board", "cores", "allowed", "quota", "flags", "max_mhz", "virtual", "memory_limit_bytes",
               "swap_bytes")  # fmt: skip
    assert [getattr(found, name) for name in unknown] == [None] * len(unknown)
    assert (found.governors, found.gpus, found.now) == ((), (), CpuState())
    assert one_line(found).startswith(f"{found.architecture}, ")


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Wed Sep  3 19:03 2025\nGCC version:  12.2.0\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.95.05  Release Build  (root@x)  2025\n",
    ],
)
def test_a_gpu_is_told_with_its_driver(proc, sys, monkeypatch, line):
    monkeypatch.setattr(asked.device, "gpus", lambda: [Gpu(0, "NVIDIA L4", "sm89", 24 * 2**30)])
    monkeypatch.setattr(asked.device, "driver_version", lambda: "13.0")
    found = describe_server(proc, sys, **{"driver/nvidia/version": line})
    assert found.gpus == (NvidiaGpu("NVIDIA L4", "sm89", 24 * 2**30, "13.0", "580.95.05"),)
    assert "NVIDIA L4 (sm89, CUDA 13.0)" in one_line(found)


def test_a_machine_is_the_same_after_json(proc, sys):
    found = replace(describe_server(proc, sys), gpus=(NvidiaGpu("L4", "sm89", 1, "13.0", None),))
    assert from_table(Machine, to_table(found), "machine", ValueError) == found


@pytest.mark.skipif(python.platform != "linux", reason="told by Linux only")
def test_this_machine_tells_its_processors_memory_and_packages():
    found = describe_machine()
    assert found.cpus
    assert found.allowed
    assert found.memory_bytes > 2**28
    assert {"aquatint", "numpy"} <= set(found.packages)
