"""DPM++ 2S and its relatives, against Diffusers at every call, noise included."""

import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.scheduler import make_scheduler

SD = {
    "_class_name": "DPMSolverSinglestepScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
FORMULAS = [{"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]
ALGORITHMS = [
    {"algorithm_type": "dpmsolver++"},
    {"algorithm_type": "sde-dpmsolver++"},
    {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"},
]


@pytest.mark.usefixtures("exact_roots")
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6, 20])
@pytest.mark.parametrize("solver", ["midpoint", "heun"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm["algorithm_type"])
def test_every_solver_is_diffusers_own(run_both, algorithm, order, solver, steps):
    assert run_both({**SD, **algorithm, "solver_order": order, "solver_type": solver}, steps).largest() < 1e-5


@pytest.mark.parametrize("steps", [2, 3, 6, 7, 20])
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
def test_every_ending_is_diffusers_own(run_both, final, lower, order, steps):
    ending = {"final_sigmas_type": final, "lower_order_final": lower, "solver_order": order}
    assert run_both({**SD, **ending}, steps).largest() < 1e-5


@pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: next(iter(formula)))
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
def test_every_formula_for_sigmas_is_diffusers_own(run_both, final, formula):
    assert run_both({**SD, **formula, "final_sigmas_type": final}, 10).largest() < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"prediction_type": "v_prediction"},
        {"prediction_type": "sample"},
        {"prediction_type": "flow_prediction"},
        {"prediction_type": "sample", "algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"},
        {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0},
        {"thresholding": True},
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        {"solver_type": "bh2", "algorithm_type": "deis", "final_sigmas_type": "sigma_min"},
    ],
    ids=str,
)
def test_every_setting_acts_as_in_diffusers(run_both, settings):
    assert run_both({**SD, **settings}, 10).largest() < 1e-5


def test_timesteps_of_ones_own_are_taken(run_both):
    assert run_both(SD, 1, schedule={"timesteps": [999, 700, 300, 20]}).largest() < 1e-5


@pytest.mark.parametrize("start", [6, 7, 8])
def test_a_run_may_start_late(run_both, start):
    assert run_both({**SD, "solver_order": 3}, 20, start=start).largest() < 1e-5


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"algorithm_type": "deis"}, "needs final_sigmas_type 'sigma_min'"),
        ({"algorithm_type": "dpmsolver"}, "needs final_sigmas_type 'sigma_min'"),
        ({"algorithm_type": "sde-dpmsolver", "final_sigmas_type": "sigma_min"}, "algorithm_type is 'sde-dpmsolver'"),
        (
            {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "thresholding": True},
            "thresholding needs an algorithm_type that solves for the image",
        ),
        ({"use_flow_sigmas": True, "use_karras_sigmas": True}, "use_flow_sigmas can't be on together"),
        ({"variance_type": "learned"}, "variance_type is 'learned'"),
    ],
)
def test_a_contradiction_is_refused(settings, message):
    with pytest.raises(BadRequest, match=message):
        make_scheduler({**SD, **settings}, 5)
