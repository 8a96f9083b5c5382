"""The least memory, by processes that fail below it."""

import pytest

from aquatint.bench.timing import floors
from aquatint.bench.timing.call import Call
from aquatint.bench.timing.order import Order
from aquatint.bench.timing.subject import WorkerFailed
from aquatint.terminal import drive

MB = 1 << 20


@pytest.mark.parametrize("needs", [40 * MB, 333 * MB])
def test_it_is_found_to_within_its_tolerance(monkeypatch, needs):
    asked = []

    class Subject:
        def __init__(self, order, call, limit):
            asked.append((call.steps, limit.kind))
            self._enough = limit.size_bytes >= needs

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def kill(self):
            pass

        def open(self):
            if not self._enough:
                raise WorkerFailed("no memory")

        def take(self, call):
            pass

    monkeypatch.setattr(floors, "Subject", Subject)
    call = Call("a boat", 0, 20, 7.5, 64, 64)
    found = drive(floors.find_floor(Order("x", "bundle", "x"), call, "data", 200 * MB, 1.0), lambda doing: None)
    assert found.failed < needs <= found.ran <= found.failed + 4 * MB
    assert set(asked) == {(3, "data")}  # a short call, for memory does not depend on steps
    assert len(asked) < 15
