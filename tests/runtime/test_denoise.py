"""The loop around a denoiser and a scheduler that do known arithmetic."""

from types import SimpleNamespace

import numpy as np
import pytest

from aquatint.runtime.denoise import Conditioning, Guidance, Start, Step, denoise, rescaled
from aquatint.runtime.errors import NonFinite
from aquatint.runtime.shapes import Shapes

IMAGES = 5
LATENTS = np.random.default_rng(0).standard_normal((IMAGES, 4, 2, 3)).astype(np.float32)
POSITIVE = {"told": np.arange(1, IMAGES + 1, dtype=np.float32).reshape(-1, 1)}
NEGATIVE = {"told": -np.arange(1, IMAGES + 1, dtype=np.float32).reshape(-1, 1) / 4}
TIMESTEPS = np.array([900, 500, 100], np.float32)
START = Start(LATENTS, range(len(TIMESTEPS)))


class Denoiser:
    """out_sample = sample * told + timestep / 1000, row by row; keeps what it was fed."""

    def __init__(self, broken_at=None):
        self.calls = []
        self._broken_at = broken_at

    def run(self, feeds):
        self.calls.append(feeds)
        assert len(feeds["sample"]) == len(feeds["told"])
        assert feeds["timestep"].shape == (1,)
        assert all(array.dtype == np.float32 for array in feeds.values())
        out = predict(feeds["sample"], feeds["timestep"][0], feeds["told"])
        if len(self.calls) == self._broken_at:
            out[-1, 0, 0, 0] = np.nan
        return {"out_sample": out}


class HalfSteps:
    """The next sample = sample - output / 2 + noise; the model sees half of the sample."""

    timesteps = TIMESTEPS
    init_noise_sigma = 1.0

    def scale_model_input(self, sample, index):
        return sample / 2

    def step(self, model_output, index, sample, draw):
        return sample - model_output / 2 + draw()


def predict(sample, timestep, told):
    return sample * told[:, :, None, None] + np.float32(timestep / 1000)


def nothing():
    return np.zeros_like(LATENTS)


def run(shapes, negative=NEGATIVE, scale=3.0, denoiser=None, draw=nothing):
    """The steps, and what the denoiser was fed."""
    denoiser = denoiser or Denoiser()
    steps = list(denoise(denoiser, HalfSteps(), START, Conditioning(POSITIVE, negative), Guidance(scale), shapes, draw))
    return steps, denoiser.calls


def shapes_of(batch, guidance="batch"):
    return Shapes(((16, 24),), batch=batch, guidance=guidance)


def test_guidance_goes_from_the_negative_through_the_positive():
    steps, _ = run(shapes_of(IMAGES))
    sample = LATENTS
    for timestep in TIMESTEPS:
        without = predict(sample / 2, timestep, NEGATIVE["told"])
        towards = predict(sample / 2, timestep, POSITIVE["told"])
        sample = sample - (without + 3.0 * (towards - without)) / 2
    # Some ulps: the factors are the same, their order is not.
    np.testing.assert_allclose(steps[-1].latents, sample, rtol=1e-5, atol=1e-5)
    assert steps[-1].latents.dtype == np.float32


def test_without_a_negative_the_scale_has_no_effect():
    steps, calls = run(shapes_of(IMAGES), negative=None, scale=100.0)
    assert np.array_equal(steps[-1].latents, run(shapes_of(IMAGES), negative=None, scale=1.0)[0][-1].latents)
    assert [len(feeds["sample"]) for feeds in calls] == [IMAGES] * len(TIMESTEPS)


def test_the_negative_half_comes_first_in_the_batch():
    _, calls = run(shapes_of(IMAGES))
    assert np.array_equal(calls[0]["told"], np.concatenate([NEGATIVE["told"], POSITIVE["told"]]))
    assert np.array_equal(calls[0]["sample"], np.concatenate([LATENTS / 2] * 2))


def test_split_guidance_makes_two_calls_of_half_the_rows():
    _, calls = run(shapes_of(IMAGES, "split"))
    assert [len(feeds["sample"]) for feeds in calls] == [IMAGES] * 2 * len(TIMESTEPS)
    assert np.array_equal(calls[0]["told"], NEGATIVE["told"])
    assert np.array_equal(calls[1]["told"], POSITIVE["told"])


@pytest.mark.parametrize("guidance", ["batch", "split"])
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 7])
def test_neither_batch_nor_split_changes_the_result(batch, guidance):
    expected = run(shapes_of(IMAGES))[0]
    for ours, theirs in zip(run(shapes_of(batch, guidance))[0], expected, strict=True):
        assert np.array_equal(ours.latents, theirs.latents)


@pytest.mark.parametrize("negative", [NEGATIVE, None])
def test_every_call_has_the_bundles_batch_and_the_last_is_filled_with_the_last_picture(negative):
    _, calls = run(shapes_of(2), negative)
    rows = 2 if negative is None else 4
    assert [len(feeds["sample"]) for feeds in calls] == [rows] * 3 * len(TIMESTEPS)
    told = [feeds["told"][-2:, 0].tolist() for feeds in calls[:3]]
    assert told == [[1, 2], [3, 4], [5, 5]]


def test_steps_count_up_and_carry_their_timestep():
    steps, calls = run(shapes_of(IMAGES))
    assert [(step.index, step.total, step.timestep) for step in steps] == [(0, 3, 900), (1, 3, 500), (2, 3, 100)]
    assert [feeds["timestep"].tolist() for feeds in calls] == [[900], [500], [100]]


def test_the_schedulers_noise_comes_from_draw():
    ones = run(shapes_of(IMAGES), draw=lambda: np.ones_like(LATENTS))[0]
    none = run(shapes_of(IMAGES))[0]
    np.testing.assert_allclose(ones[0].latents - none[0].latents, 1, atol=1e-5)


def test_the_callers_latents_are_left_as_they_are():
    before = LATENTS.copy()
    run(shapes_of(2))
    assert np.array_equal(before, LATENTS)


def test_latents_are_read_when_they_are_asked_for_and_once():
    read = []
    step = Step(0, 1, 900.0, lambda: read.append(1) or LATENTS)
    assert not read
    assert step.latents is step.latents is LATENTS
    assert len(read) == 1


def test_a_step_is_made_only_when_it_is_asked_for():
    denoiser = Denoiser()
    loop = denoise(denoiser, HalfSteps(), START, Conditioning(POSITIVE), Guidance(1.0), shapes_of(IMAGES), nothing)
    next(loop)
    assert len(denoiser.calls) == 1


def test_nan_names_the_step():
    with pytest.raises(NonFinite, match=r"^unet, step 2 of 3: 1 of 120 values are NaN or infinite"):
        run(shapes_of(IMAGES), negative=None, denoiser=Denoiser(broken_at=2))


def test_nan_in_the_rows_that_only_fill_up_does_not_count():
    steps, _ = run(shapes_of(4), negative=None, denoiser=Denoiser(broken_at=2))
    assert len(steps) == len(TIMESTEPS)


def test_a_scheduler_with_more_calls_than_steps_yields_each_call():
    twice = SimpleNamespace(
        timesteps=np.array([900, 900], np.float32),
        scale_model_input=lambda sample, index: sample,
        step=lambda output, index, sample, draw: sample,
    )
    steps = list(
        denoise(
            Denoiser(), twice, Start(LATENTS, range(2)), Conditioning(POSITIVE), Guidance(1.0), shapes_of(1), nothing
        )
    )
    assert [step.total for step in steps] == [2, 2]


def test_a_run_may_begin_late_and_end_early():
    late = Start(LATENTS, range(1, 2))
    steps = list(denoise(Denoiser(), HalfSteps(), late, Conditioning(POSITIVE), Guidance(1.0), shapes_of(1), nothing))
    assert [(step.index, step.total, step.timestep) for step in steps] == [(0, 1, 500.0)]


def test_what_an_inpainting_denoiser_sees_lies_behind_the_latents():
    denoiser = Denoiser()
    beside = np.ones((IMAGES, 2, 2, 3), np.float32)
    start = Start(LATENTS, range(1), beside=beside)

    class FirstFour(Denoiser):
        def run(self, feeds):
            denoiser.calls.append(feeds)
            return {"out_sample": feeds["sample"][:, :4]}

    list(denoise(FirstFour(), HalfSteps(), start, Conditioning(POSITIVE), Guidance(1.0), shapes_of(IMAGES), nothing))
    assert np.array_equal(denoiser.calls[0]["sample"], np.concatenate([LATENTS / 2, beside], axis=1))


def test_rescaling_gives_the_spread_of_the_prompts_own_prediction():
    rng = np.random.default_rng(1)
    guided = rng.standard_normal((2, 4, 8, 8)).astype(np.float32) * 5
    towards = rng.standard_normal((2, 4, 8, 8)).astype(np.float32)
    whole = rescaled(guided, towards, 1.0)
    np.testing.assert_allclose(whole.std(axis=(1, 2, 3)), towards.std(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(rescaled(guided, towards, 0.25), 0.25 * whole + 0.75 * guided, rtol=1e-5)
