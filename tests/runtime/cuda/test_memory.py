"""Memory on a stand-in that does work late, poisons what is new, and watches every address."""

import ctypes

import numpy as np
import pytest

from aquatint.runtime.cuda.memory import STAGING, CudaMemory, shared_memory
from aquatint.runtime.device.memory import CaptureRefused
from aquatint.runtime.errors import OutOfMemory, SessionFailed
from aquatint.tests.stand_ins.machine import DEVICE, PINNED, Card, Violation

RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def test_new_memory_holds_zeros(memory):
    assert not memory.read(memory.allocate((3, 5), np.float32)).any()


def test_what_is_written_is_read(memory):
    array, values = memory.allocate((3, 5), np.float32), numbers(3, 5)
    memory.write(array, values)
    assert np.array_equal(memory.read(array), values)


def test_written_values_take_the_arrays_type(memory):
    array = memory.allocate((4,), np.float16)
    memory.write(array, np.array([1.0, 2.5, -3.0, 1e-3]))
    read = memory.read(array)
    assert read.dtype == np.float16
    assert np.array_equal(read, np.array([1.0, 2.5, -3.0, 1e-3], np.float16))


def test_values_that_are_not_contiguous_are_written_in_order(memory):
    array, values = memory.allocate((5, 3), np.float32), numbers(3, 5)
    memory.write(array, values.T)
    assert np.array_equal(memory.read(array), values.T)


def test_the_caller_may_change_values_at_once(memory):
    array, values = memory.allocate((8,), np.float32), numbers(8)
    before = values.copy()
    memory.write(array, values)
    values[:] = 0
    assert np.array_equal(memory.read(array), before)


def test_many_writes_do_not_share_a_place_before_they_are_done(memory):
    arrays = [memory.allocate((1 << 18,), np.float32) for _ in range(11)]  # 11 MB through 4 MB of staging
    values = [numbers(1 << 18) for _ in arrays]
    for array, value in zip(arrays, values, strict=True):
        memory.write(array, value)
    assert all(np.array_equal(memory.read(array), value) for array, value in zip(arrays, values, strict=True))


def test_what_is_larger_than_the_staging_memory_goes_both_ways(memory, gpu):
    array, values = memory.allocate((STAGING // 4 + 1,), np.float32), numbers(STAGING // 4 + 1)
    memory.write(array, values)
    assert np.array_equal(memory.read(array), values)
    assert gpu.held_bytes(PINNED) == values.nbytes


def test_a_large_read_grows_the_staging_memory(memory):
    array = memory.allocate((STAGING // 4 + 1,), np.float32)
    assert not memory.read(array).any()


def test_what_is_read_is_a_copy(memory):
    array = memory.allocate((2,), np.float32)
    first = memory.read(array)
    memory.write(array, np.ones(2))
    memory.read(array)
    assert not first.any()


def test_rows_are_a_part_in_place(memory):
    array, values = memory.allocate((4, 6), np.float32), numbers(4, 6)
    memory.write(array, values)
    memory.write(array.rows(1, 3), np.zeros((2, 6)))
    values[1:3] = 0
    assert np.array_equal(memory.read(array), values)
    assert np.array_equal(memory.read(array.rows(3, 4)), values[3:])
    assert np.array_equal(memory.read(array.shaped(24)), values.ravel())


def test_copies_are_made_in_the_order_of_asking(memory):
    first, second = memory.allocate((4,), np.float32), memory.allocate((4,), np.float32)
    memory.write(first, np.ones(4))
    memory.copy(first, second)
    memory.write(first, np.zeros(4))
    assert memory.read(second).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("elements", [1, 255, 256, 257, 4099])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_combine_is_a_weighted_sum(memory, count, elements):
    weights, terms = numbers(count), numbers(count, elements)
    arrays = [memory.allocate(shape, np.float32) for shape in ((count,), (count, elements), (elements,))]
    memory.write(arrays[0], weights)
    memory.write(arrays[1], terms)
    memory.combine(*arrays)
    # Float32 sums of 7 terms of about 1.
    np.testing.assert_allclose(memory.read(arrays[2]), weights @ terms, atol=2e-6)


def test_combine_reads_no_term_of_weight_zero(memory):
    arrays = [memory.allocate(shape, np.float32) for shape in ((2,), (2, 3), (3,))]
    memory.write(arrays[0], np.array([0.5, 0.0]))
    memory.write(arrays[1], np.array([[2, 4, 6], [np.nan, np.inf, np.nan]]))
    memory.combine(*arrays)
    assert memory.read(arrays[2]).tolist() == [1, 2, 3]


def test_recorded_work_is_done_again_each_time(memory, gpu):
    first, second = memory.allocate((2,), np.float32), memory.allocate((2,), np.float32)
    again = memory.record(lambda: memory.copy(first, second))
    assert not memory.read(second).any()  # recording did nothing
    for value in (3.0, 5.0):
        memory.write(first, np.full(2, value))
        again()
        assert memory.read(second).tolist() == [value, value]
    again.close()
    assert not gpu.recorded


@pytest.mark.parametrize(
    "ask",
    [
        lambda memory, array: memory.wait(),
        lambda memory, array: memory.read(array),
        lambda memory, array: memory.allocate((2,), np.float32),
        lambda memory, array: memory.free(array),
    ],
    ids=["wait", "read", "room", "free"],
)
def test_what_no_graph_can_hold_is_refused_and_leaves_no_error(memory, ask):
    array = memory.allocate((2,), np.float32)
    with pytest.raises(CaptureRefused, match="cudaErrorStreamCaptureUnsupported"):
        memory.record(lambda: ask(memory, array))
    from cuda.bindings import runtime as cudart

    assert int(cudart.cudaGetLastError()[0]) == 0
    memory.write(array, np.ones(2))
    assert memory.read(array).tolist() == [1, 1]


def test_any_error_ends_the_recording(memory):
    def fail():
        raise KeyboardInterrupt

    array = memory.allocate((2,), np.float32)
    with pytest.raises(KeyboardInterrupt):
        memory.record(fail)
    assert not memory.read(array).any()


def test_work_that_fails_leaves_no_recording_behind(memory, gpu):
    def fail():
        raise SessionFailed("no")

    with pytest.raises(CaptureRefused, match=r"^no$"):
        memory.record(fail)
    assert not gpu.graphs
    assert not gpu.captures


def test_a_device_that_records_nothing_is_refused(memory, gpu):
    gpu.capturable = False
    array = memory.allocate((2,), np.float32)
    with pytest.raises(CaptureRefused, match="cudaErrorStreamCaptureInvalidated"):
        memory.record(lambda: memory.copy(array.rows(0, 1), array.rows(1, 2)))
    memory.wait()


def test_too_little_memory_says_how_much_there_is(memory, gpu):
    gpu.others_bytes = gpu.total_bytes - 5_000_000
    with pytest.raises(OutOfMemory, match=r"^the GPU has no 8 MB left: 5 of 8590 MB are free$"):
        memory.allocate((2_000_000,), np.float32)
    from cuda.bindings import runtime as cudart

    assert int(cudart.cudaGetLastError()[0]) == 0


def test_memory_is_freed_once(memory, gpu):
    array = memory.allocate((2,), np.float32)
    assert gpu.held_bytes() == 8
    memory.free(array)
    assert gpu.held_bytes() == 0
    with pytest.raises(SessionFailed, match="cudaErrorInvalidValue"):
        memory.free(array)


def test_an_empty_array_has_a_place_too(memory):
    assert memory.read(memory.allocate((0, 4), np.float32)).shape == (0, 4)


def test_scratch_is_as_large_as_the_largest_wish(memory, gpu):
    first = memory.scratch("a", 1000)
    assert memory.scratch("b", 500) == first
    second = memory.scratch("b", 2000)
    assert second.address != first.address
    assert memory.scratch("a", 1000) == second
    assert gpu.held_bytes() == 2000


def test_scratch_is_given_back_with_its_last_holder(memory, gpu):
    memory.scratch("a", 1000)
    memory.scratch("b", 500)
    memory.leave_scratch("a")
    assert gpu.held_bytes() == 1000
    memory.leave_scratch("b")
    assert gpu.held_bytes() == 0
    memory.leave_scratch("b")


def test_scratch_is_not_freed_under_work_that_writes_to_it(memory, gpu):
    scratch = memory.scratch("a", 1000)
    gpu.enqueue(int(memory.stream), lambda: gpu.view(scratch.address, 1000).fill(1))
    memory.scratch("a", 2000)
    memory.wait()


def test_all_sessions_of_a_process_share_one(gpu):
    assert shared_memory() is shared_memory()
    assert len(gpu.queues) == 1


def test_a_gpu_older_than_the_kernel_is_refused(gpu):
    gpu.cards = [Card("V100", 7, 0)]
    memory = CudaMemory(0)
    arrays = [memory.allocate(shape, np.float32) for shape in ((1,), (1, 3), (3,))]
    with pytest.raises(SessionFailed, match="CUDA_ERROR_NO_BINARY_FOR_GPU"):
        memory.combine(*arrays)


def test_the_stand_in_finds_what_is_used_after_it_was_freed(memory, gpu):
    source, target = memory.allocate((2,), np.float32), memory.allocate((2,), np.float32)
    memory.copy(source, target)
    gpu.release(source.address)
    with pytest.raises(Violation, match="are freed"):
        memory.wait()


def test_the_stand_in_finds_what_writes_past_an_end(gpu):
    address = gpu.allocate(8)
    found = gpu.allocation(address, 8)
    ctypes.memset(address + 8, 0, 1)
    with pytest.raises(Violation, match="written over"):
        gpu.check()
    found.holder[:] = 0xA5
    found.bytes[:] = 0
    assert gpu.held_bytes(DEVICE) == 8


def test_the_stand_in_refuses_memory_of_the_wrong_kind(memory, gpu):
    from cuda.bindings import runtime as cudart

    array = memory.allocate((2,), np.float32)
    unpinned = np.zeros(2, np.float32)
    way = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
    error = cudart.cudaMemcpyAsync(array.address, unpinned.ctypes.data, 8, way, memory.stream)[0]
    assert error == cudart.cudaError_t.cudaErrorInvalidValue
