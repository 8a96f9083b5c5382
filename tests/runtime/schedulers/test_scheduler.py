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
    assert {"ddim", "dpm_multistep", "euler", "euler_ancestral", "lcm", "pndm"} <= files


@pytest.mark.parametrize("class_name", CLASS_NAMES)
@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_settings_follow_to_another_scheduler_as_in_diffusers(run_both, checkpoint, class_name):
    assert run_both(CHECKPOINTS[checkpoint], 20, name=class_name).largest() < 1e-5


@pytest.mark.parametrize("class_name", CLASS_NAMES)
def test_settings_follow_from_a_config_in_memory(run_both, class_name):
    diffusers = pytest.importorskip("diffusers")
    # Its clip_sample, final alpha and spacing are defaults of its class alone, and must not follow.
    config = diffusers.DDIMScheduler.from_config({**SD, "_class_name": "DDIMScheduler", "skip_prk_steps": True}).config
    assert run_both(dict(config), 20, name=class_name).largest() < 1e-5


@pytest.mark.parametrize("name", MODULES)
def test_defaults_are_diffusers_own(name):
    theirs = inspect.signature(getattr(pytest.importorskip("diffusers"), MODULES[name].CLASS_NAME)).parameters
    ours = {field.name: field.default for field in fields(MODULES[name].Config)}
    # DDIM's eta is an argument of Diffusers' pipelines.
    ours.pop("eta", None)
    assert ours == {key: theirs[key].default for key in ours}


@pytest.mark.parametrize("name", MODULES)
def test_every_setting_of_diffusers_is_known_or_has_no_effect(name):
    theirs = set(inspect.signature(getattr(pytest.importorskip("diffusers"), MODULES[name].CLASS_NAME)).parameters)
    # LCM has its own timesteps and never comes to a final alpha.
    unused = {"set_alpha_to_one", "steps_offset", "timestep_spacing"} if name == "lcm" else set()
    assert theirs - {field.name for field in fields(MODULES[name].Config)} <= WITHOUT_EFFECT | unused


def test_settings_without_effect_are_those_of_diffusers_other_schedulers():
    diffusers = pytest.importorskip("diffusers")
    from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers

    classes = [getattr(diffusers, entry.name) for entry in KarrasDiffusionSchedulers]
    theirs = set().union(*(inspect.signature(entry).parameters for entry in classes if hasattr(entry, "from_config")))
    ours = {field.name for module in MODULES.values() for field in fields(module.Config)}
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


@pytest.mark.parametrize("name", ["heun", "HeunDiscreteScheduler", ""])
def test_an_unknown_scheduler_is_refused_with_those_that_exist(name):
    with pytest.raises(UnknownName, match="euler_ancestral"):
        make_scheduler(CHECKPOINTS["sd15"], 5, name=name)


def test_an_unknown_class_in_the_config_is_refused():
    with pytest.raises(UnknownName, match=r"'UniPCMultistepScheduler'.*dpm_multistep"):
        make_scheduler({**SD, "_class_name": "UniPCMultistepScheduler"}, 5)


def test_a_config_without_a_class_needs_a_name():
    with pytest.raises(BadRequest, match="no _class_name"):
        make_scheduler(SD, 5)
    assert len(make_scheduler(SD, 5, name="euler").timesteps) == 5


@pytest.mark.parametrize(
    "class_name, settings, message",
    [
        ("EulerDiscreteScheduler", {"interpolation_type": "log_linear"}, "interpolation_type is 'log_linear'"),
        ("EulerDiscreteScheduler", {"timestep_type": "continuous"}, "timestep_type is 'continuous'"),
        ("EulerDiscreteScheduler", {"timestep_spacing": "even"}, "timestep_spacing is 'even'"),
        ("EulerDiscreteScheduler", {"use_karras_sigmas": True, "use_beta_sigmas": True}, "only one of"),
        ("EulerDiscreteScheduler", {"beta_schedule": "sigmoid"}, "beta_schedule is 'sigmoid'"),
        ("EulerDiscreteScheduler", {"beta_start": "small"}, "beta_start is 'small'"),
        ("EulerDiscreteScheduler", {"trained_betas": [0.1, 0.2]}, "trained_betas has 2 values"),
        ("EulerDiscreteScheduler", {"a_setting_of_tomorrow": True}, "no setting 'a_setting_of_tomorrow'"),
        ("EulerAncestralDiscreteScheduler", {"prediction_type": "sample"}, "prediction_type is 'sample'"),
        ("DDIMScheduler", {"thresholding": True}, "thresholding is True"),
        ("LCMScheduler", {"thresholding": True}, "thresholding is True"),
        ("DPMSolverMultistepScheduler", {"thresholding": True}, "thresholding is True"),
        ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver"}, "algorithm_type is 'dpmsolver'"),
        ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver"}, "algorithm_type is 'sde-dpmsolver'"),
        ("DPMSolverMultistepScheduler", {"prediction_type": "flow_prediction"}, "prediction_type is 'flow_prediction'"),
        ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True}, "use_flow_sigmas is True"),
        ("DPMSolverMultistepScheduler", {"use_lu_lambdas": True}, "use_lu_lambdas is True"),
        ("DPMSolverMultistepScheduler", {"use_dynamic_shifting": True}, "use_dynamic_shifting is True"),
        ("DPMSolverMultistepScheduler", {"variance_type": "learned"}, "variance_type is 'learned'"),
        ("DPMSolverMultistepScheduler", {"solver_order": 4}, "solver_order is 4"),
        ("PNDMScheduler", {"prediction_type": "sample"}, "prediction_type is 'sample'"),
    ],
)
def test_a_setting_we_do_not_support_is_refused(class_name, settings, message):
    with pytest.raises(BadRequest, match=message):
        make_scheduler({**SD, "_class_name": class_name, **settings}, 5)


def test_an_unknown_override_is_refused():
    with pytest.raises(BadRequest, match=r"EulerDiscreteScheduler has no key use_karras.*use_karras_sigmas"):
        make_scheduler(CHECKPOINTS["sdxl"], 5, overrides={"use_karras": True})


@pytest.mark.parametrize("steps", [0, -1, 1001])
@pytest.mark.parametrize("name", MODULES)
def test_a_number_of_steps_that_cannot_be_is_refused(name, steps):
    with pytest.raises(BadRequest, match=f"steps is {steps}; it must be from 1 to 1000"):
        make_scheduler(CHECKPOINTS["sd15"], steps, name=name)


@pytest.mark.parametrize("name", MODULES)
def test_samples_stay_float32_and_inputs_stay_as_they_are(name):
    scheduler = make_scheduler(CHECKPOINTS["sd15"], 6, name=name)
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
