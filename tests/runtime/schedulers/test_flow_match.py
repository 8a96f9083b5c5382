"""Flow matching by Euler and by Heun, against Diffusers at every call, noise included."""

import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

EULER = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
HEUN = {"_class_name": "FlowMatchHeunDiscreteScheduler"}
FORMULAS = [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]


@pytest.mark.parametrize("steps", [2, 5, 28])
@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("terminal", [None, 0.1])
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula), "even"))
@pytest.mark.parametrize("way", [{}, {"invert_sigmas": True}, {"stochastic_sampling": True}], ids=str)
def test_every_step_of_euler_is_diffusers_own(run_both, way, formula, terminal, shift, steps):
    assert run_both({**EULER, **way, **formula, "shift": shift, "shift_terminal": terminal}, steps).largest() < 1e-5


@pytest.mark.parametrize("steps", [1, 2, 28])
@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_mu_shifts_the_sigmas(run_both, kind, steps):
    config = {**EULER, "use_dynamic_shifting": True, "shift": 3.0, "time_shift_type": kind}
    assert run_both(config, steps, schedule={"mu": 0.9}).largest() < 1e-5


@pytest.mark.parametrize(
    "schedule", [{"sigmas": [1.0, 0.7, 0.2]}, {"timesteps": [1000.0, 650.0, 12.5]}, {"timesteps": [900, 100]}], ids=str
)
def test_a_schedule_of_ones_own_is_taken(run_both, schedule):
    assert run_both({**EULER, "shift": 3.0}, 1, schedule=schedule).largest() < 1e-5


@pytest.mark.parametrize("steps", [1, 2, 5, 28])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_every_call_of_heun_is_diffusers_own(run_both, shift, steps):
    deviations = run_both({**HEUN, "shift": shift}, steps)
    assert deviations.largest() < 1e-5
    assert len(deviations.steps) == 2 * steps - 1


@pytest.mark.parametrize("config", [EULER, HEUN])
def test_a_run_may_start_late(run_both, config):
    assert run_both(config, 20, start=14).largest() < 1e-5


@pytest.mark.parametrize(
    "config, schedule, message",
    [
        ({**EULER, "use_dynamic_shifting": True}, {}, "use_dynamic_shifting needs mu"),
        ({**EULER, "shift_terminal": 0.1}, {"sigmas": [1.0]}, "shift_terminal can't move"),
        (EULER, {"sigmas": [1.0, 0.0]}, "must be positive"),
        (HEUN, {"sigmas": [1.0, 0.5]}, "FlowMatchHeunDiscreteScheduler takes no sigmas"),
    ],
    ids=str,
)
def test_a_schedule_that_cannot_be_is_refused(config, schedule, message):
    with pytest.raises(BadRequest, match=message):
        make_scheduler(config, 5, **schedule)
