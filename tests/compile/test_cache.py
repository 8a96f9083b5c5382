"""Finished pieces: whole or not at all, made once, and cleared away."""

import os
import subprocess
import sys
import time

import pytest

from aquatint.compile.cache import KEY, Cache
from aquatint.runtime.bundle import sha256_of

LONG_AGO = 1_000_000_000


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def dead():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def fill(text="content"):
    return lambda folder: (folder / "file").write_text(text)


def left(cache):
    return sorted(path.name for path in cache.root.iterdir())


def refuse(folder):
    raise AssertionError("made again")


def test_an_entry_is_made_once_and_found_again(cache):
    place = cache.entry("graph", "unet", {"a": 1}, fill())
    assert (place / "file").read_text() == "content"
    assert cache.entry("graph", "unet", {"a": 1}, refuse) == place
    assert cache.has("graph", {"a": 1})


def test_the_order_of_a_key_and_the_label_do_not_matter(cache):
    place = cache.entry("graph", "unet", {"a": 1, "b": [2]}, fill())
    assert cache.entry("graph", "other words", {"b": [2], "a": 1}, refuse) == place


@pytest.mark.parametrize(
    "kind, key", [("graph", {"a": 2}), ("graph", {"a": "1"}), ("graph", {}), ("artifact", {"a": 1})]
)
def test_another_key_or_kind_is_another_entry(cache, kind, key):
    place = cache.entry("graph", "unet", {"a": 1}, fill())
    assert not cache.has(kind, key)
    assert cache.entry(kind, "unet", key, fill("other")) != place


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_where_making_fails_there_is_nothing(cache, error):
    def make(folder):
        fill()(folder)
        raise error

    with pytest.raises(error):
        cache.entry("graph", "unet", {"a": 1}, make)
    assert left(cache) == []
    assert not cache.has("graph", {"a": 1})


def test_an_entry_is_not_seen_before_it_is_whole(cache):
    def make(folder):
        fill()(folder)
        assert not cache.has("graph", {"a": 1})
        assert list(cache.entries()) == []

    cache.entry("graph", "unet", {"a": 1}, make)
    assert cache.has("graph", {"a": 1})


def test_a_ruin_in_an_entrys_place_is_made_anew(cache):
    place = cache.entry("graph", "unet", {"a": 1}, fill())
    (place / KEY).unlink()
    (place / "half").touch()
    assert not cache.has("graph", {"a": 1})
    assert sorted(file.name for file in cache.entry("graph", "unet", {"a": 1}, fill("new")).iterdir()) == ["file", KEY]
    assert (place / "file").read_text() == "new"


def test_an_entry_that_another_process_finished_first_is_kept(cache):
    def make(folder):
        cache.entry("graph", "unet", {"a": 1}, fill("theirs"))
        fill("ours")(folder)

    place = cache.entry("graph", "unet", {"a": 1}, make)
    assert (place / "file").read_text() == "theirs"
    assert left(cache) == [place.name]


def test_processes_that_make_one_entry_at_once_all_get_it_whole(cache):
    code = f"""
import time
from pathlib import Path
from aquatint.runtime.bundle import sha256_of
from aquatint.compile.cache import Cache
def make(folder):
    (folder / "file").write_text("content")
    time.sleep(0.3)
print(Cache(Path({str(cache.root)!r})).entry("graph", "unet", {{"a": 1}}, make))
"""
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    places = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert places == {str(cache.entry("graph", "unet", {"a": 1}, refuse))}
    assert len(left(cache)) == 1


def test_a_killed_process_leaves_no_entry_and_its_part_is_pruned(cache):
    code = f"""
import os
from pathlib import Path
from aquatint.runtime.bundle import sha256_of
from aquatint.compile.cache import Cache
def make(folder):
    (folder / "file").write_text("12345")
    os.kill(os.getpid(), 9)
Cache(Path({str(cache.root)!r})).entry("graph", "unet", {{"a": 1}}, make)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert not cache.has("graph", {"a": 1})
    assert len(left(cache)) == 1
    assert cache.prune(older_than_days=1) == 5
    assert left(cache) == []


def test_entries_come_with_kind_label_and_size_the_longest_unused_first(cache):
    for label in ("new", "old"):
        cache.entry("graph", label, {"label": label}, fill("12345"))
    old = next(entry for entry in cache.entries() if entry.label == "old")
    os.utime(old.path / KEY, (LONG_AGO, LONG_AGO))
    entries = list(cache.entries())
    assert [entry.label for entry in entries] == ["old", "new"]
    assert entries[0].kind == "graph"
    assert entries[0].size_bytes == 5 + (entries[0].path / KEY).stat().st_size


def test_finding_an_entry_counts_as_use(cache):
    place = cache.entry("graph", "unet", {"a": 1}, fill())
    os.utime(place / KEY, (LONG_AGO, LONG_AGO))
    cache.entry("graph", "unet", {"a": 1}, refuse)
    assert next(cache.entries()).used == pytest.approx(time.time(), abs=60)


def test_a_cache_that_is_not_there_is_empty(cache):
    assert list(cache.entries()) == []
    assert cache.prune() == 0


def test_pruning_removes_all_and_says_how_much(cache):
    cache.entry("graph", "unet", {"a": 1}, fill())
    size_bytes = next(cache.entries()).size_bytes
    assert cache.prune() == size_bytes
    assert left(cache) == []


def test_pruning_by_age_keeps_what_was_used_since(cache):
    new, old = (cache.entry("graph", name, {"name": name}, fill()) for name in ("new", "old"))
    os.utime(old / KEY, (time.time() - 2 * 86400,) * 2)
    cache.prune(older_than_days=1)
    assert left(cache) == [new.name]


@pytest.mark.parametrize(
    "form", ["graph-part-{pid}-0a1b2c3d", "build-part-{pid}-x_y8", "graph-part-{pid}-0a1b2c3d/key.json"]
)
def test_what_a_dead_process_left_is_pruned_and_what_a_living_one_makes_is_kept(cache, dead, form):
    for pid in (dead, os.getpid()):
        path = cache.root / form.format(pid=pid)
        folder = path.parent if path.name == KEY else path
        folder.mkdir(parents=True)
        if path.name == KEY:
            path.write_text('{"kind": "graph", "label": "whole, but not yet in its place", "key": {}}')
    assert list(cache.entries()) == []
    cache.prune()
    assert left(cache) == [form.format(pid=os.getpid()).split("/")[0]]


def test_what_has_no_process_in_its_name_is_left_alone(cache):
    (cache.root / "my-part-of-it").mkdir(parents=True)
    cache.prune()
    assert left(cache) == ["my-part-of-it"]


def test_a_full_disk_is_told_as_it_is(cache, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.rename", full)
    with pytest.raises(OSError, match="No space left"):
        cache.entry("graph", "unet", {"a": 1}, fill())
    assert left(cache) == []


def test_a_hash_is_of_the_content(tmp_path):
    for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (sha256_of(tmp_path / name) for name in "abc")
    assert a == b != c
