"""A session over a network that computes on the stand-in's memory, late."""

import numpy as np
import pytest

from aquatint.runtime.device.session import KEPT, DeviceSession, sizes_of
from aquatint.runtime.errors import OutOfMemory, SessionFailed
from aquatint.runtime.manifest import Component, TensorSpec

PART = Component(
    "unet",
    "unet/x",
    "fp32",
    (TensorSpec("sample", "float32", ("batch", 4, "height/8", "width/8")), TensorSpec("ids", "int64", ("batch", 77))),
    (TensorSpec("out_sample", "float16", ("batch", "height", "width")),),
)


class Sums:
    """out_sample = the sum of sample over channels, every pixel 8 x 8 times, plus the ids' sum."""

    def __init__(self, machine, memory):
        self._machine, self._memory = machine, memory
        self.asked, self.forgotten, self.closed = [], [], False

    def enqueue(self, buffers):
        self.asked.append(buffers)

        def work():
            sample, ids = (self._view(buffers.inputs[name]) for name in ("sample", "ids"))
            large = sample.sum(1).repeat(8, axis=1).repeat(8, axis=2)
            self._view(buffers.outputs["out_sample"])[...] = large + ids.sum(1)[:, None, None]

        self._machine.enqueue(int(self._memory.stream), work)

    def forget(self, buffers):
        self.forgotten.append(buffers)

    def close(self):
        self.closed = True

    def _view(self, array):
        return self._machine.view(array.address, array.size_bytes, array.dtype).reshape(array.shape)


@pytest.fixture
def network(gpu, memory):
    return Sums(gpu, memory)


@pytest.fixture
def session(network, memory):
    return DeviceSession(network, PART, memory)


def feeds_of(rows=2, height=16, width=8):
    rng = np.random.default_rng(rows)
    sample = rng.integers(-3, 4, (rows, 4, height // 8, width // 8)).astype(np.float32)
    return {"sample": sample, "ids": rng.integers(0, 5, (rows, 77))}


def expected(feeds):
    large = feeds["sample"].sum(1).repeat(8, axis=1).repeat(8, axis=2)
    return (large + feeds["ids"].sum(1)[:, None, None]).astype(np.float16)


@pytest.mark.parametrize("rows, height, width", [(1, 8, 8), (2, 16, 8), (3, 8, 40)])
def test_outputs_are_the_networks_of_these_inputs(session, rows, height, width):
    feeds = feeds_of(rows, height, width)
    found = session.run(feeds)["out_sample"]
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, expected(feeds))


def test_outputs_belong_to_the_caller(session):
    first = session.run(feeds_of())["out_sample"]
    before = first.copy()
    session.run({name: array + 1 for name, array in feeds_of().items()})
    np.testing.assert_array_equal(first, before)


def test_inputs_may_be_of_another_type_and_order(session):
    feeds = feeds_of()
    session_feeds = {
        "sample": np.asfortranarray(feeds["sample"]).astype(np.float64),
        "ids": feeds["ids"].astype(np.int32),
    }
    np.testing.assert_array_equal(session.run(session_feeds)["out_sample"], expected(feeds))


def test_preparing_runs_twice_over_zeros_so_that_work_is_recorded(session, network):
    session.prepare({name: array.shape for name, array in feeds_of().items()})
    buffers, again = network.asked
    assert again is buffers
    assert not session.memory.read(buffers.outputs["out_sample"]).any()


def test_one_size_has_one_set_of_buffers(session, network):
    for _ in range(3):
        session.run(feeds_of())
    session.run(feeds_of(rows=3))
    session.run(feeds_of())
    assert network.asked[0] is network.asked[1] is network.asked[2] is network.asked[4]
    assert network.asked[3] is not network.asked[0]


def test_the_sizes_used_longest_ago_go_first(session, network, gpu):
    for rows in range(1, KEPT + 1):
        session.run(feeds_of(rows))
    session.run(feeds_of(1))
    session.run(feeds_of(KEPT + 1))
    assert network.forgotten == [network.asked[1]]
    one = 4 * (4 * 2 * 1) + 8 * 77 + 2 * (16 * 8)  # bytes of one row
    assert gpu.held_bytes() == one * (1 + sum(range(3, KEPT + 2)))
    session.run(feeds_of(1))
    assert len(network.forgotten) == 1


def test_buffers_stay_until_the_work_on_them_is_done(session, gpu):
    sizes = [{name: array.shape for name, array in feeds_of(rows).items()} for rows in range(1, KEPT + 2)]
    for shapes in sizes:
        session.enqueue(session.buffers(shapes))  # the last one takes the place of the first, whose work waits
    session.memory.wait()


def test_closing_gives_all_back(session, network, gpu):
    session.run(feeds_of(1))
    session.run(feeds_of(2))
    session.close()
    assert network.closed
    assert len(network.forgotten) == 2
    assert gpu.held_bytes() == 0


def test_what_does_not_fit_leaves_nothing_behind(session, gpu):
    session.run(feeds_of(1))
    held = gpu.held_bytes()
    gpu.others_bytes = gpu.free_bytes - 1500
    with pytest.raises(OutOfMemory):
        session.run(feeds_of(2))
    assert gpu.held_bytes() == held
    np.testing.assert_array_equal(session.run(feeds_of(1))["out_sample"], expected(feeds_of(1)))


@pytest.mark.parametrize(
    "sample, ids, said",
    [
        ((2, 4, 2), (2, 77), "sample"),
        ((2, 3, 2, 1), (2, 77), "sample"),
        ((2, 4, 2, 1), (3, 77), "ids"),
        ((2, 4, 2, 1), (2, 76), "ids"),
        ((2, 4, 2, 1), None, "ids"),
    ],
)
def test_shapes_that_do_not_agree_are_named(sample, ids, said):
    shapes = {name: shape for name, shape in (("sample", sample), ("ids", ids)) if shape}
    with pytest.raises(SessionFailed, match=rf"^unet: input {said} is .*; it must be "):
        sizes_of(PART, shapes)


def test_sizes_are_those_of_the_words():
    assert sizes_of(PART, {"sample": (2, 4, 3, 5), "ids": (2, 77)}) == {"batch": 2, "height": 24, "width": 40}
