"""Measurements that outlive a kill."""

from aquatint.compile.cache import Cache
from aquatint.compile.search.log import Log


def test_a_later_search_finds_what_an_earlier_one_measured(tmp_path):
    key = {"model": "tiny", "target": "ort:cpu"}
    Log(Cache(tmp_path), "tiny", key).add("a block", {"error": 0.1})
    again = Log(Cache(tmp_path), "tiny", key)
    assert again.get("a block") == {"error": 0.1}
    assert again.get("another") is None
    assert Log(Cache(tmp_path), "tiny", {**key, "target": "openvino:cpu"}).get("a block") is None


def test_a_line_that_a_kill_cut_short_spoils_neither_those_before_nor_those_after(tmp_path):
    first = Log(Cache(tmp_path), "tiny", {})
    first.add("a", {"error": 0.1})
    first.add("b", {"error": 0.2})
    text = first.file.read_text()
    first.file.write_text(text[:-9])
    second = Log(Cache(tmp_path), "tiny", {})
    assert (second.get("a"), second.get("b")) == ({"error": 0.1}, None)
    second.add("c", {"error": 0.3})
    third = Log(Cache(tmp_path), "tiny", {})
    assert (third.get("a"), third.get("c")) == ({"error": 0.1}, {"error": 0.3})
