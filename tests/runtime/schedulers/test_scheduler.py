"""Choosing a scheduler: names, settings that follow from one to another, and what is refused."""

import inspect
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from aquatint.runtime import lookup, schedulers
from aquatint.runtime.errors import BadRequest, UnknownName
from aquatint.runtime.scheduler import WITHOUT_EFFECT, available, make_scheduler

MODULES = {name: lookup.find(schedulers.__name__, name, "scheduler") for name in available()}
CLASS_NAMES = [module.CLASS_NAME for module in MODULES.values()]
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
# scheduler_config.json of Stable Diffusion 1.5, 2.1 and XL, LCM Dreamshaper 7, SDXL Turbo.
CHECKPOINTS = {
    "sd15": {
        **SD,
        "_class_name": "PNDMScheduler",
        "_diffusers_version": "0.6.0",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
    },
    "sd21": {
        **SD,
        "_class_name": "DDIMScheduler",
        "_diffusers_version": "0.8.0",
        "clip_sample": False,
        "prediction_type": "v_prediction",
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "trained_betas": None,
    },
    "sdxl": {
        **SD,
        "_class_name": "EulerDiscreteScheduler",
        "_diffusers_version": "0.19.0.dev0",
        "clip_sample": False,
        "interpolation_type": "linear",
        "prediction_type": "epsilon",
        "sample_max_value": 1.0,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        "trained_betas": None,
        "use_karras_sigmas": False,
    },
    "lcm": {
        **SD,
        "_class_name": "LCMScheduler",
        "_diffusers_version": "0.22.0.dev0",
        "clip_sample": False,
        "clip_sample_range": 1.0,
        "dynamic_thresholding_ratio": 0.995,
        "original_inference_steps": 50,
        "prediction_type": "epsilon",
        "rescale_betas_zero_snr": False,
        "sample_max_value": 1.0,
        "set_alpha_to_one": True,
        "steps_offset": 0,
        "thresholding": False,
        "timestep_scaling": 10.0,
        "timestep_spacing": "leading",
        "trained_betas": None,
    },
    "turbo": {
        **SD,
        "_class_name": "EulerAncestralDiscreteScheduler",
        "_diffusers_version": "0.24.0.dev0",
        "clip_sample": False,
        "interpolation_type": "linear",
        "prediction_type": "epsilon",
        "sample_max_value": 1.0,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
        "timestep_spacing": "trailing",
        "trained_betas": None,
    },
}


def test_every_file_is_a_scheduler_and_found():
    files = {path.stem for path in Path(schedulers.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(available()) == files == set(MODULES)
    assert {"ddim", "ddpm", "dpm_multistep", "dpm_sde", "euler", "heun", "flow_match_euler", "unipc"} <= files


# Without a seed, the Brownian noise of DPM++ SDE is another in each run of Diffusers; its own test gives it one.
# Flow matching does not go with these models.
FOLLOWING = [name for name in CLASS_NAMES if name != "DPMSolverSDEScheduler" and not name.startswith("FlowMatch")]


@pytest.mark.parametrize("class_name", FOLLOWING)
@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_settings_follow_to_another_scheduler_as_in_diffusers(run_both, checkpoint, class_name):
    assert run_both(CHECKPOINTS[checkpoint], 20, name=class_name).largest() < 1e-5


@pytest.mark.parametrize("class_name", FOLLOWING)
def test_settings_follow_from_a_config_in_memory(run_both, class_name):
    diffusers = pytest.importorskip("diffusers")
    # Its clip_sample, final alpha and spacing are defaults of its class alone, and must not follow.
    config = diffusers.DDIMScheduler.from_config({**SD, "_class_name": "DDIMScheduler", "skip_prk_steps": True}).config
    assert run_both(dict(config), 20, name=class_name).largest() < 1e-5


@pytest.mark.parametrize("name", MODULES)
def test_defaults_are_diffusers_own(name):
    theirs = inspect.signature(_diffusers_own(name)).parameters
    ours = {field.name: field.default for field in fields(MODULES[name].Config)}
    # eta is an argument of Diffusers' pipelines. sigma_min and sigma_max count for every scheduler that finds them in
    # a config, whether its class names them or not.
    ours = {key: value for key, value in ours.items() if key != "eta" and (key in theirs or key[:6] != "sigma_")}
    assert ours == {key: _tuple(theirs[key].default) for key in ours}


def _diffusers_own(name):
    diffusers = pytest.importorskip("diffusers")
    if name == "dpm_sde":
        pytest.importorskip("torchsde")
    return getattr(diffusers, MODULES[name].CLASS_NAME)


def _tuple(default):
    return tuple(default) if isinstance(default, list) else default


# What classes of Diffusers have and never read.
UNREAD = {
    "lcm": {"set_alpha_to_one", "steps_offset", "timestep_spacing"},
    "tcd": {
        *{"clip_sample", "clip_sample_range", "dynamic_thresholding_ratio", "sample_max_value", "set_alpha_to_one"},
        *{"steps_offset", "thresholding", "timestep_scaling", "timestep_spacing"},
    },
}


@pytest.mark.parametrize("name", MODULES)
def test_every_setting_of_diffusers_is_known_or_has_no_effect(name):
    theirs = set(inspect.signature(_diffusers_own(name)).parameters)
    ours = {field.name for field in fields(MODULES[name].Config)}
    assert theirs - ours <= WITHOUT_EFFECT | UNREAD.get(name, set())


def test_settings_without_effect_are_those_of_diffusers_other_schedulers():
    diffusers = pytest.importorskip("diffusers")
    from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

    names = {entry.name for entry in KarrasDiffusionSchedulers} | set(CLASS_NAMES)
    classes = [getattr(diffusers, name) for name in names]
    theirs = set().union(*(inspect.signature(entry).parameters for entry in classes if hasattr(entry, "from_config")))
    ours = {field.name for module in MODULES.values() for field in fields(module.Config)}
    # Without torchsde, Diffusers has no DPMSolverSDEScheduler to look into.
    assert theirs - ours - {"args", "kwargs"} == WITHOUT_EFFECT


@pytest.mark.parametrize("name", ["dpm_multistep", "dpm-multistep", "DPMSolverMultistepScheduler"])
def test_a_scheduler_has_three_spellings(name):
    scheduler = make_scheduler(CHECKPOINTS["sd15"], 5, name=name)
    assert type(scheduler) is MODULES["dpm_multistep"].Scheduler


def test_overrides_go_before_the_config():
    config = {**CHECKPOINTS["sdxl"], "use_karras_sigmas": False}
    scheduler = make_scheduler(config, 5, "dpm_multistep", {"use_karras_sigmas": True, "solver_order": 3})
    assert scheduler.config.use_karras_sigmas
    assert scheduler.config.solver_order == 3
    assert scheduler.config.beta_start == 0.00085


def test_a_switch_that_is_null_is_off(run_both):
    config = {**CHECKPOINTS["sd21"], "clip_sample": None}
    assert run_both(config, 4).largest() < 1e-5
    assert make_scheduler(config, 4).config.clip_sample is False


@pytest.mark.parametrize("name", ["heunn", "EDMEulerScheduler", ""])
def test_an_unknown_scheduler_is_refused_with_those_that_exist(name):
    with pytest.raises(UnknownName, match="euler_ancestral"):
        make_scheduler(CHECKPOINTS["sd15"], 5, name=name)


def test_an_unknown_class_in_the_config_is_refused():
    with pytest.raises(UnknownName, match=r"'SASolverScheduler'.*dpm_multistep"):
        make_scheduler({**SD, "_class_name": "SASolverScheduler"}, 5)


def test_a_config_without_a_class_needs_a_name():
    with pytest.raises(BadRequest, match="no _class_name"):
        make_scheduler(SD, 5)
    assert len(make_scheduler(SD, 5, name="euler").timesteps) == 5


@pytest.mark.parametrize(
    "class_name, settings, message",
    [
        ("EulerDiscreteScheduler", {"timestep_spacing": "even"}, "timestep_spacing is 'even'"),
        ("EulerDiscreteScheduler", {"use_karras_sigmas": True, "use_beta_sigmas": True}, "only one of"),
        ("EulerDiscreteScheduler", {"beta_schedule": "sigmoid"}, "beta_schedule is 'sigmoid'"),
        ("EulerDiscreteScheduler", {"beta_start": "small"}, "beta_start is 'small'"),
        ("EulerDiscreteScheduler", {"trained_betas": [0.1, 0.2]}, "trained_betas has 2 values"),
        ("EulerDiscreteScheduler", {"a_setting_of_tomorrow": True}, "no setting 'a_setting_of_tomorrow'"),
        ("EulerAncestralDiscreteScheduler", {"prediction_type": "sample"}, "prediction_type is 'sample'"),
        ("DPMSolverMultistepScheduler", {"variance_type": "learned"}, "variance_type is 'learned'"),
        ("DPMSolverMultistepScheduler", {"solver_order": 4}, "solver_order is 4"),
        ("PNDMScheduler", {"prediction_type": "sample"}, "prediction_type is 'sample'"),
        ("KDPM2DiscreteScheduler", {"prediction_type": "sample"}, "prediction_type is 'sample'"),
        ("LMSDiscreteScheduler", {"beta_schedule": "laplace"}, "beta_schedule is 'laplace'"),
        ("HeunDiscreteScheduler", {"trained_betas": "none"}, "trained_betas is a text"),
    ],
)
def test_a_setting_we_do_not_support_is_refused(class_name, settings, message):
    with pytest.raises(BadRequest, match=message):
        make_scheduler({**SD, "_class_name": class_name, **settings}, 5)


@pytest.mark.parametrize("key, values", [("timesteps", [900, 100]), ("sigmas", [9.0, 0.0]), ("mu", 0.5)])
@pytest.mark.parametrize("name", MODULES)
def test_a_schedule_of_ones_own_is_taken_where_diffusers_takes_it(name, key, values):
    theirs = _diffusers_own(name)
    takes = key in inspect.signature(theirs.set_timesteps).parameters
    assert takes == (key in inspect.signature(MODULES[name].Scheduler).parameters)
    if not takes:
        with pytest.raises(BadRequest, match=f"{MODULES[name].CLASS_NAME} takes no {key}"):
            make_scheduler(SD, 5, name=name, **{key: values})


@pytest.mark.parametrize("name", ["flow_match_euler", "FlowMatchHeunDiscreteScheduler"])
def test_flow_matching_is_refused_for_a_model_that_predicts_no_flow(name):
    with pytest.raises(BadRequest, match="predict a flow; this one predicts 'v_prediction'"):
        make_scheduler(CHECKPOINTS["sd21"], 5, name=name)
    flow = {"_class_name": "UniPCMultistepScheduler", "prediction_type": "flow_prediction", "use_flow_sigmas": True}
    assert len(make_scheduler(flow, 5, name="flow_match_euler").timesteps) == 5


def test_an_unknown_override_is_refused():
    with pytest.raises(BadRequest, match=r"EulerDiscreteScheduler has no key use_karras.*use_karras_sigmas"):
        make_scheduler(CHECKPOINTS["sdxl"], 5, overrides={"use_karras": True})


@pytest.mark.parametrize("steps", [0, -1, 1001])
@pytest.mark.parametrize("name", MODULES)
def test_a_number_of_steps_that_cannot_be_is_refused(name, steps):
    with pytest.raises(BadRequest, match=f"steps is {steps}; it must be from 1 to 1000"):
        make_scheduler(SD, steps, name=name)


@pytest.mark.parametrize("name", MODULES)
def test_samples_stay_float32_and_inputs_stay_as_they_are(name):
    scheduler = make_scheduler(SD, 6, name=name)
    sample, output = np.full((1, 4, 2, 2), 0.5, dtype=np.float32), np.full((1, 4, 2, 2), 0.25, dtype=np.float32)
    assert type(scheduler.init_noise_sigma) is float
    for index in range(len(scheduler.timesteps)):
        before = sample.copy()
        assert scheduler.scale_model_input(sample, index).dtype == np.float32
        assert scheduler.add_noise(sample, output, index).dtype == np.float32
        moved = scheduler.step(output, index, sample, lambda: output)
        assert moved.dtype == np.float32
        np.testing.assert_array_equal(sample, before)
        np.testing.assert_array_equal(output, np.float32(0.25))
        sample = moved
