"""The scheduler: which noise the model sees at each call, and the step from its answer to the next sample."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from . import checks, lookup, schedulers
from .errors import BadRequest
from .flow import FlowConfig
from .record import from_table
from .sigmas import descending

# Settings of Diffusers' schedulers that change no number: those of classes we do not have, and those that Diffusers
# itself never reads, or only in pipelines of other models (which make mu of the last four).
WITHOUT_EFFECT = frozenset(
    {
        "rho",
        "sigma_data",
        "sigma_schedule",
        "base_image_seq_len",
        "base_shift",
        "max_image_seq_len",
        "max_shift",
    }
)
# From and to, of settings that have bounds; all other numbers must lie within those of LARGEST.
BOUNDS = {
    "num_train_timesteps": (1, checks.LIMIT),
    "beta_start": (0, 1),
    "beta_end": (0, 1),
    "trained_betas": (0, 1),
    "steps_offset": (-checks.LIMIT, checks.LIMIT),
    "dynamic_thresholding_ratio": (0, 1),
    "sigma_min": (1e-9, 1e9),
    "sigma_max": (1e-9, 1e9),
    "shift_terminal": (0, 1),
    "noise_sampler_seed": (0, 2**64 - 1),
    "lambda_min_clipped": (float("-inf"), checks.LIMIT),
}
LARGEST = (-1e9, 1e9)
LISTS = ("trained_betas", "disable_corrector")


class Scheduler(Protocol):
    """A schedule of a fixed number of steps; one object serves one run. Arrays are float32.

    timesteps: (calls,) float32, what the model is told, one for each call, from noise to image. Some schedulers make
    several calls in a step; a run then starts at the first call of one.
    init_noise_sigma: factor on the unit noise at the start.
    calls_per_step: 2 where every step but the last takes two calls, so that runs start at even indices.
    """

    timesteps: np.ndarray
    init_noise_sigma: float
    calls_per_step: int

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        """The sample as the model wants to see it at timesteps[index]."""

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """The sample after timesteps[index]; indices ascend one by one, from 0 or from where a run starts.

        draw: gives unit noise of the sample's shape; called where Diffusers draws and nowhere else.
        """

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        """A clean sample with the noise of timesteps[index] on it."""


def available() -> tuple[str, ...]:
    """The names of the schedulers, as found on disk."""
    return lookup.names(schedulers.__name__)


def make_scheduler(
    config: Mapping[str, Any],
    steps: int,
    name: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    timesteps: Sequence[float] | None = None,
    sigmas: Sequence[float] | None = None,
    mu: float | None = None,
    strength: float | None = None,
) -> Scheduler:
    """The scheduler of a Diffusers scheduler_config.json, ready for a number of steps.

    name: another scheduler than the config's own, ours ("dpm_multistep", "dpm-multistep") or by Diffusers' class name;
    it takes from config what it knows, as Diffusers' from_config does.
    overrides: settings that go before those of config, such as {"use_karras_sigmas": True}.
    timesteps, sigmas: a schedule of the user's own, descending; steps then does not count. With Euler's sigmas comes
    the final one. mu: the shift that use_dynamic_shifting asks for. strength: in (0, 1], for a distilled model that
    goes on from a picture. Each for those schedulers whose set_timesteps takes it in Diffusers.
    Raises UnknownName for a scheduler we do not have, BadRequest for a setting or a number of steps that can't be done.
    """
    own = config.get("_class_name")
    if name is None and not isinstance(own, str):
        raise BadRequest(f"the scheduler's config has no _class_name; name a scheduler: {', '.join(available())}")
    module = _find(str(own) if name is None else name)
    _check_flow(module, config)
    settings = {**_known_settings(module, config, own=own == module.CLASS_NAME), **(overrides or {})}
    for key, value in settings.items():
        listed = isinstance(value, list | tuple) and key not in LISTS
        if listed or (isinstance(value, str) and len(value) > checks.SHOWN):
            raise BadRequest(f"{module.CLASS_NAME}: {key} is {checks.quoted(value)}; it must be one word or number")
    checked = from_table(module.Config, _switches_off(module, settings), module.CLASS_NAME, BadRequest)
    _check_bounds(checked, module.CLASS_NAME)
    given = _given(module, timesteps=timesteps, sigmas=sigmas, mu=mu, strength=strength)
    for values in (given.get("timesteps"), given.get("sigmas")):
        steps = steps if values is None else len(values)
    if not 1 <= steps <= checked.num_train_timesteps:
        raise BadRequest(f"steps is {steps}; it must be from 1 to {checked.num_train_timesteps}")
    scheduler: Scheduler = module.Scheduler(checked, steps, **given)
    return scheduler


def _check_flow(module: ModuleType, config: Mapping[str, Any]) -> None:
    """Raises BadRequest for flow matching with a model that predicts something else; it would draw noise."""
    own = config.get("_class_name", module.CLASS_NAME)
    predicts_flow = config.get("prediction_type") == "flow_prediction" or config.get("use_flow_sigmas")
    if issubclass(module.Config, FlowConfig) and not own.startswith("FlowMatch") and not predicts_flow:
        predicts = config.get("prediction_type", "epsilon")
        raise BadRequest(f"{module.CLASS_NAME} is for models that predict a flow; this one predicts {predicts!r}")


def _check_bounds(config: Any, name: str) -> None:
    """Raises BadRequest for numbers of which no schedule can be made, or only an endless one."""
    for field in fields(config):
        value, (least, most) = getattr(config, field.name), BOUNDS.get(field.name, LARGEST)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and not least <= number <= most:
                raise BadRequest(f"{name}: {field.name} is {checks.quoted(number)}; it must be from {least} to {most}")


def _given(module: ModuleType, **schedule: Any) -> dict[str, Any]:
    """Those of a schedule's settings that are given; all of them must be what the scheduler takes."""
    given = {key: value for key, value in schedule.items() if value is not None}
    for key in given.keys() & {"timesteps", "sigmas"}:
        given[key] = descending(given[key], key)
    taken = inspect.signature(module.Scheduler).parameters
    for key in given:
        if key == "strength" and key not in taken:
            raise BadRequest(f"{module.CLASS_NAME} can't go on from a picture with a distilled model; lcm and tcd can")
        if key not in taken:
            raise BadRequest(f"{module.CLASS_NAME} takes no {key} of one's own")
    if "timesteps" in given and "sigmas" in given:
        raise BadRequest("timesteps and sigmas are both given; one makes the schedule")
    return given


def _modules() -> list[ModuleType]:
    return [lookup.find(schedulers.__name__, stem, "scheduler") for stem in available()]


def _find(name: str) -> ModuleType:
    by_class = {module.CLASS_NAME: module for module in _modules()}
    return by_class[name] if name in by_class else lookup.find(schedulers.__name__, name, "scheduler")


def _known_settings(module: ModuleType, config: Mapping[str, Any], own: bool) -> dict[str, Any]:
    """What the scheduler takes from a config; of its own config, it refuses what no scheduler knows."""
    # In memory, Diffusers lists the defaults that no file set: they do not follow to another class.
    defaults = config.get("_use_default_values", ())
    settings = {key: value for key, value in config.items() if not key.startswith("_") and key not in defaults}
    if own:
        # Files carry settings of the schedulers they were converted from; Diffusers passes over these.
        unknown = sorted(set(settings) - WITHOUT_EFFECT.union(*map(_names, _modules())))
        if unknown:
            raise BadRequest(f"{module.CLASS_NAME} has no setting {unknown[0]!r} (here {settings[unknown[0]]!r})")
    return {key: value for key, value in settings.items() if key in _names(module)}


def _names(module: ModuleType) -> set[str]:
    return {field.name for field in fields(module.Config)}


def _switches_off(module: ModuleType, settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"clip_sample": None} -> {"clip_sample": False}: Diffusers reads a null switch as off."""
    switches = {field.name for field in fields(module.Config) if isinstance(field.default, bool)}
    return {key: False if value is None and key in switches else value for key, value in settings.items()}


def diffusers_class(name: str) -> str:
    """Diffusers' class name for one of our schedulers.  Raises UnknownName."""
    found: str = _find(name).CLASS_NAME
    return found
