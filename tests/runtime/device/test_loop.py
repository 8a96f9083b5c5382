"""The loop on the device against the loop on the host: the same latents after every step."""

import numpy as np
import pytest

from aquatint.runtime.denoise import Start
from aquatint.runtime.errors import NonFinite, OutOfMemory
from aquatint.runtime.inpainting import Kept
from aquatint.runtime.shapes import Shapes

# Both compute in float32: the order of sums differs, and a UNet of random weights carries that on through four steps.
NEAR = 1e-5


def shapes_of(batch=1, guidance="batch"):
    return Shapes(((64, 64),), batch=batch, guidance=guidance)


@pytest.mark.parametrize("guidance", ["batch", "split"])
@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("images, batch", [(1, 1), (3, 2), (2, 4), (4, 2)])
def test_latents_are_the_hosts(denoisers, images, batch, guided, guidance):
    assert denoisers.apart(shapes_of(batch, guidance), images=images, guided=guided) < NEAR


@pytest.mark.parametrize("name", ["euler", "euler_ancestral", "dpm_multistep", "heun", "unipc", "lcm", "pndm"])
def test_latents_are_the_hosts_with_any_scheduler(denoisers, name):
    assert denoisers.apart(name=name, images=2, steps=5) < NEAR


def test_each_picture_of_a_batch_gets_its_own_noise(denoisers):
    assert denoisers.apart(shapes_of(2), name="euler_ancestral", images=3) < NEAR


def test_noise_is_drawn_as_often_as_on_the_host(denoisers):
    ours, theirs = [], []
    list(denoisers.run(denoisers.resident, shapes_of(), name="euler_ancestral", draws=ours))
    list(denoisers.run(denoisers.host, shapes_of(), name="euler_ancestral", draws=theirs))
    assert len(ours) == len(theirs) == 4


def test_a_run_may_begin_late(denoisers):
    assert denoisers.apart(first=2, images=2) < NEAR


def test_the_loop_stays_on_the_device(denoisers, monkeypatch):
    def refuse(*_):
        raise AssertionError("the host was asked")

    monkeypatch.setattr(denoisers.resident, "run", refuse)
    assert len(list(denoisers.run(denoisers.resident, shapes_of()))) == 4


def test_a_scheduler_without_a_program_runs_on_the_host(denoisers):
    assert denoisers.apart(name="dpm_sde") < NEAR


def test_rescaled_guidance_runs_on_the_host(denoisers):
    assert denoisers.apart(rescale=0.7, images=2) < NEAR


def test_inpainting_runs_on_the_host(denoisers):
    rng = np.random.default_rng(3)
    latents, noise, picture = rng.standard_normal((3, 1, 4, 8, 8)).astype(np.float32)
    mask = (rng.random((1, 1, 8, 8)) > 0.5).astype(np.float32)
    start = Start(latents, range(4), kept=Kept(picture, noise, mask))
    assert denoisers.apart(start=start) < NEAR
    left = list(denoisers.run(denoisers.resident, shapes_of(), start=start))[-1].latents
    kept = np.broadcast_to(mask == 0, left.shape)
    np.testing.assert_array_equal(left[kept], picture[kept])


def test_a_step_is_done_when_it_is_asked_for(denoisers, gpu):
    run = denoisers.run(denoisers.resident, shapes_of())
    assert not denoisers.model.runs
    next(run)
    assert len(denoisers.model.runs) == 1
    assert not any(gpu.queues.values())  # and not only asked for: progress would run ahead of the device
    run.close()


def test_a_run_that_is_given_up_gives_its_memory_back(denoisers, gpu):
    run = denoisers.run(denoisers.resident, shapes_of(2), images=3)
    next(run)
    held = gpu.held_bytes()
    run.close()
    assert gpu.held_bytes() < held
    denoisers.resident.close()
    assert gpu.held_bytes() == 0


def test_latents_can_be_read_late_while_the_run_lasts(denoisers):
    theirs = list(denoisers.run(denoisers.host, shapes_of()))
    run = denoisers.run(denoisers.resident, shapes_of())
    steps = [next(run) for _ in range(4)]
    for ours, expected in zip(steps, theirs, strict=True):
        np.testing.assert_allclose(ours.latents, expected.latents, atol=NEAR * np.abs(expected.latents).max())
    run.close()


def test_latents_that_were_read_stay_after_the_run(denoisers):
    run = denoisers.run(denoisers.resident, shapes_of())
    step = next(run)
    before = step.latents.copy()
    assert len(list(run)) == 3
    np.testing.assert_array_equal(step.latents, before)


def test_latents_are_not_read_from_memory_that_was_given_back(denoisers):
    steps = list(denoisers.run(denoisers.resident, shapes_of()))
    with pytest.raises(AssertionError, match="the run is over"):
        _ = steps[0].latents


def test_memory_that_ends_in_the_middle_is_given_back(denoisers, gpu):
    list(denoisers.run(denoisers.resident, shapes_of()))  # the network's own buffers are there now
    held = gpu.held_bytes()
    gpu.others_bytes = gpu.free_bytes - 3000
    with pytest.raises(OutOfMemory):
        list(denoisers.run(denoisers.resident, shapes_of()))
    assert gpu.held_bytes() == held


def test_nan_names_the_step_or_an_earlier_one(denoisers):
    latents = np.full((1, 4, 8, 8), np.nan, np.float32)
    run = denoisers.run(denoisers.resident, shapes_of(), start=Start(latents, range(4)))
    step = next(run)
    with pytest.raises(NonFinite, match=r"^unet, step 1 of 4, or one before it: 256 of 256 values are NaN"):
        _ = step.latents
    run.close()


def test_a_second_run_uses_the_same_buffers(denoisers, gpu):
    list(denoisers.run(denoisers.resident, shapes_of()))
    held = gpu.held_bytes()
    list(denoisers.run(denoisers.resident, shapes_of()))
    assert gpu.held_bytes() == held
    assert {graph for graph, _ in denoisers.model.runs} == {"1"}


def test_no_latents_travel_between_steps(denoisers, monkeypatch):
    moved = []
    memory = denoisers.resident.memory
    write, read = memory.write, memory.read
    monkeypatch.setattr(memory, "write", lambda array, values: (moved.append(array.shape), write(array, values)))
    monkeypatch.setattr(memory, "read", lambda array: (moved.append(array.shape), read(array))[1])
    run = denoisers.run(denoisers.resident, shapes_of())
    next(run)
    moved.clear()
    assert len(list(run)) == 3
    assert moved == []


def test_the_timesteps_told_are_those_of_the_span(denoisers):
    ours = [step.timestep for step in denoisers.run(denoisers.resident, shapes_of(), first=1)]
    theirs = [step.timestep for step in denoisers.run(denoisers.host, shapes_of(), first=1)]
    assert ours == theirs
