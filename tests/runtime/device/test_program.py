"""A scheduler's run as sums of terms, against the scheduler itself, step by step."""

from copy import deepcopy

import numpy as np
import pytest

from aquatint.runtime.device.program import Sum, trace
from aquatint.runtime.scheduler import available, make_scheduler

SHAPE = (2, 4, 6, 6)
GUIDED, ALONE = (-6.5, 7.5), (1.0,)
# Both sides round to float32, in another order: sums of up to 60 terms, whose weights nearly cancel in the multistep
# solvers.  Of the largest value; the worst found is 3e-6.
NEAR = 5e-6
# This one takes the velocity over the predicted image, and over sigma, which is 0.001 at the end of few steps: it is
# the scheduler itself that rounds.
ROUNDING = {"flow_match_heun": 5e-5}
BASE = {
    "_class_name": "DDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False,
}  # fmt: skip
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
MORE_THAN_SUMS = {"dpm_sde"}  # its noise comes from a Brownian tree of its own
SETTINGS = [
    ("ddim", {"eta": 1.0}),
    ("ddim", {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}),
    ("ddpm", {"variance_type": "fixed_large"}),
    ("deis", {"solver_order": 3}),
    ("dpm_multistep", {"use_karras_sigmas": True}),
    ("dpm_multistep", {"solver_order": 3}),
    ("dpm_multistep", {"solver_order": 1}),
    ("dpm_multistep", {"algorithm_type": "sde-dpmsolver++"}),
    ("dpm_multistep", {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"}),
    ("dpm_multistep", {"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min"}),
    ("dpm_multistep", {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}),
    ("dpm_singlestep", {"solver_order": 3}),
    ("dpm2", {"use_karras_sigmas": True}),
    ("euler", {"use_karras_sigmas": True}),
    ("euler", {"final_sigmas_type": "sigma_min"}),
    ("heun", {"use_karras_sigmas": True}),
    ("lms", {"use_karras_sigmas": True}),
    ("pndm", {"skip_prk_steps": True}),
    ("tcd", {"eta": 0.7}),
    ("unipc", {"solver_order": 3}),
    ("unipc", {"predict_x0": False, "solver_type": "bh1", "final_sigmas_type": "sigma_min"}),
    ("unipc", {"disable_corrector": [0, 1]}),
]
NOT_LINEAR = [
    ("ddim", {"clip_sample": True}),
    ("ddim", {"thresholding": True}),
    ("ddpm", {"clip_sample": True}),
    ("ddpm", {"thresholding": True}),
    ("dpm_multistep", {"thresholding": True}),
    ("heun", {"clip_sample": True}),
    ("lcm", {"thresholding": True}),
    ("unipc", {"thresholding": True}),
]


def made(name, overrides=None, steps=20):
    return make_scheduler(FLOW if name.startswith("flow") else BASE, steps, name, overrides)


def deviation(name, overrides=None, shares=GUIDED, start=0, steps=20):
    """The largest difference between program and scheduler in what the denoiser sees and what a step leaves."""
    scheduler = made(name, overrides, steps)
    span = range(start, len(scheduler.timesteps))
    program = trace(scheduler, span, shares)
    assert program is not None
    rng = np.random.default_rng(0)
    sample = rng.standard_normal(SHAPE).astype(np.float32) * np.float32(scheduler.init_noise_sigma)
    terms = np.full((program.terms, sample.size), np.nan, np.float32)  # what is not there yet must not be used
    terms[0] = sample.ravel()
    found = []

    def evaluate(weights):
        used = np.flatnonzero(weights)
        return (weights[used] @ terms[used]).reshape(SHAPE)

    def far(ours, theirs):
        return float(np.abs(ours - theirs).max() / np.abs(theirs).max())

    for step, index in enumerate(span):
        seen = scheduler.scale_model_input(sample, index)
        found.append(far(evaluate(program.told[step]), seen))
        answers = [np.float32(0.5) * np.tanh(seen + np.float32(0.1 * i)) for i in range(len(shares))]
        for i, answer in enumerate(answers):
            terms[program.answers[step] + i] = answer.ravel()
        left = iter(program.noises[step])

        def draw(left=left):
            noise = rng.standard_normal(SHAPE).astype(np.float32)
            terms[next(left)] = noise.ravel()
            return noise

        output = sum(np.float32(share) * answer for share, answer in zip(shares, answers, strict=True))
        sample = scheduler.step(output, index, sample, draw)
        found.append(far(evaluate(program.left[step]), sample))
        assert next(left, None) is None  # as many draws as the scheduler makes
    return max(found)


@pytest.mark.parametrize("shares", [GUIDED, ALONE], ids=["guided", "alone"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", [name for name in available() if name not in MORE_THAN_SUMS])
def test_the_program_of_every_scheduler_does_its_steps(name, prediction, shares):
    overrides = {} if name.startswith("flow") else {"prediction_type": prediction}
    assert deviation(name, overrides, shares) < NEAR


@pytest.mark.parametrize("name, overrides", SETTINGS)
def test_the_program_follows_the_settings(name, overrides):
    assert deviation(name, overrides) < NEAR


@pytest.mark.parametrize("name", [name for name in available() if name not in MORE_THAN_SUMS])
def test_a_run_may_start_in_the_middle(name):
    scheduler = made(name)
    start = 8 if getattr(scheduler, "calls_per_step", 1) == 2 else 7
    assert deviation(name, start=start) < NEAR


@pytest.mark.parametrize("name", [name for name in available() if name not in MORE_THAN_SUMS])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_may_be_short(name, steps):
    overrides = {"skip_prk_steps": True} if name == "pndm" else {}
    assert deviation(name, overrides, steps=steps) < ROUNDING.get(name, NEAR)


@pytest.mark.parametrize("name", sorted(MORE_THAN_SUMS))
def test_a_scheduler_that_does_more_has_no_program(name):
    scheduler = made(name)
    assert trace(scheduler, range(len(scheduler.timesteps)), GUIDED) is None


@pytest.mark.parametrize("name, overrides", NOT_LINEAR)
def test_settings_that_clip_have_no_program(name, overrides):
    scheduler = made(name, overrides)
    assert trace(scheduler, range(len(scheduler.timesteps)), GUIDED) is None


@pytest.mark.parametrize("name", available())
def test_tracing_leaves_the_scheduler_as_it_was(name):
    scheduler = made(name)
    before = deepcopy(scheduler)
    trace(scheduler, range(len(scheduler.timesteps)), GUIDED)
    assert _state(scheduler) == _state(before)


def test_a_span_of_no_steps_is_the_first_sample_alone():
    program = trace(made("ddim"), range(0), GUIDED)
    assert program.terms == 1
    assert program.told.shape == program.left.shape == (0, 1)


def test_every_term_is_used_after_it_is_there():
    program = trace(made("euler_ancestral"), range(20), GUIDED)
    for step, (first, noises) in enumerate(zip(program.answers, program.noises, strict=True)):
        assert not program.told[step, first:].any()
        assert not program.left[step, max([first + 1, *noises]) + 1 :].any()
        assert program.left[step, first : first + 2].all()


@pytest.mark.parametrize("other", [1.0, np.float32(1), np.ones(3, np.float32), "a"])
def test_a_sum_adds_sums_alone(other):
    with pytest.raises(TypeError):
        Sum({0: 1.0}) + other
    with pytest.raises(TypeError):
        other + Sum({0: 1.0})


def test_a_sum_is_multiplied_by_numbers_alone():
    one = Sum({0: 1.0, 3: -2.0})
    for two in (2, 2.0, np.float32(2), np.float64(2), np.array(2.0)):
        assert (two * one).weights == (one * two).weights == {0: 2.0, 3: -4.0}
        assert (one / two).weights == {0: 0.5, 3: -1.0}
    for wrong in (np.ones(3), one):
        with pytest.raises(TypeError):
            one * wrong


def _state(scheduler):
    """Everything it holds, to be compared."""
    return {name: _plain(value) for name, value in vars(scheduler).items()}


def _plain(value):
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "__dict__") and not hasattr(type(value), "__dataclass_fields__"):
        return _state(value)
    return repr(value)
