"""Commands under a limit, and groups that would hold one.

No real group is made: it would lie in the group of whoever runs the tests, who may count on what is in it.
"""

import shutil
import subprocess
import sys

import pytest

from aquatint.bench.timing import memory_group as groups
from aquatint.bench.timing.memory_group import group_parent, memory_group
from aquatint.bench.timing.memory_limit import Limit, limiting
from aquatint.runtime.errors import BadRequest
from aquatint.tests.bench.timing.made_up import write_tree

MB = 2**20
TAKE = "import sys; taken = bytearray(b'x') * (int(sys.argv[1]) << 20); print(len(taken) >> 20)"
# Far above what an interpreter needs by itself, of which libraries are the most.
LIMIT = 256 * MB
linux = pytest.mark.skipif(sys.platform != "linux", reason="limited on Linux only")


def limited(command, kind):
    with limiting(Limit(LIMIT, kind)) as prefix:
        return subprocess.run([*prefix, *command], capture_output=True, text=True)


def take(megabytes, kind):
    return limited([sys.executable, "-S", "-c", TAKE, str(megabytes)], kind)


@linux
@pytest.mark.parametrize("kind", ["data", "space"])
def test_a_command_runs_within_its_limit_and_fails_beyond(kind):
    within, beyond = take(40, kind), take(300, kind)
    assert (within.returncode, within.stdout) == (0, "40\n")
    assert beyond.returncode == 1
    assert "MemoryError" in beyond.stderr


MAP = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
"""


@linux
@pytest.mark.parametrize("kind, code", [("data", 0), ("space", 1)])
def test_mapped_weights_count_as_address_space_but_not_as_data(tmp_path, kind, code):
    with (tmp_path / "model.bin").open("wb") as file:
        file.truncate(2 * LIMIT)
    assert limited([sys.executable, "-S", "-c", MAP, str(tmp_path / "model.bin")], kind).returncode == code


def test_elsewhere_memory_is_not_limited(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BadRequest, match="on Linux only"):
        limited(["true"], "data")


@pytest.fixture
def machine(tmp_path):
    def make(listed, files):
        proc = write_tree(tmp_path / "proc", {"self/cgroup": listed})
        return proc, write_tree(tmp_path / "sys", {f"fs/cgroup/{path}": text for path, text in files.items()})

    return make


def test_a_group_is_made_where_memory_is_given_on(machine):
    files = {"cgroup.controllers": "cpu memory", "cgroup.subtree_control": "memory", "cgroup.procs": ""}
    files |= {"user/cgroup.subtree_control": "cpu memory pids\n", "user/cgroup.procs": ""}
    files |= {"user/session/cgroup.subtree_control": "", "user/session/cgroup.procs": ""}
    proc, sys_ = machine("0::/user/session\n", files)
    assert group_parent(proc, sys_) == sys_ / "fs/cgroup/user"


def test_without_such_a_place_the_error_says_what_would_help(machine):
    proc, sys_ = machine("0::/\n", {"cgroup.controllers": "cpu memory", "cgroup.subtree_control": "cpu"})
    with pytest.raises(BadRequest, match="limit address space instead"), memory_group(LIMIT, proc, sys_):
        pass


@pytest.fixture
def plain_folders(monkeypatch):
    """Folders that are not the kernel's have no files when they are new, and are not empty at the end."""
    limit = groups._limit

    def install(*names):
        monkeypatch.setattr(groups, "_end", shutil.rmtree)
        monkeypatch.setattr(
            groups, "_limit", lambda folder, size: limit(write_tree(folder, dict.fromkeys(names, "")), size)
        )

    return install


@pytest.mark.parametrize(
    "listed, outer, names, limits",
    [
        ("0::/\n", {"cgroup.controllers": "memory", "cgroup.subtree_control": "memory", "cgroup.procs": ""},
         ["memory.max", "memory.swap.max", "memory.oom.group"], [str(LIMIT), "0", "1"]),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "", "memory/cgroup.procs": ""},
         ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"], [str(LIMIT), str(LIMIT)]),
    ],
)  # fmt: skip
def test_a_group_limits_memory_with_swap_and_is_gone_at_the_end(machine, plain_folders, listed, outer, names, limits):
    proc, sys_ = machine(listed, outer)
    plain_folders(*names)
    with memory_group(LIMIT, proc, sys_) as folder:
        assert [(folder / name).read_text() for name in names] == limits
    assert not folder.exists()
    assert folder.parent.is_dir()
