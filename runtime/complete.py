"""From a request to a call: every default filled in and everything checked, before anything slow."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from . import checks
from .call import Call, Noise, Schedule, Texts
from .errors import BadRequest
from .framing import framings, pair_of
from .manifest import Manifest
from .request import ARRAYS, XL_ONLY, Request
from .settings import Settings
from .source import Mode, Source, find_source, finite_latents, place, size_of_source

T = TypeVar("T")


@dataclass(frozen=True)
class Rules:
    """What sets a family's pipelines apart.

    xl: they take what only SDXL's take.  strength: where a call names none, by what it starts from.
    chosen_anew: a distilled model's timesteps for a picture are chosen from fewer ones, instead of being cut.
    """

    xl: bool
    chosen_anew: bool
    strength: Mapping[Mode, float]


def complete(request: Request, manifest: Manifest, settings: Settings, rules: Rules) -> Call:
    """The call that a request makes of this bundle; where it has no seed, one is drawn.

    Raises BadRequest, quoting the value and what is allowed.
    """
    defaults = manifest.defaults
    _check_family(request, rules)
    texts = _texts(request, settings)
    source = find_source(request, settings, rules.strength)
    height, width = size_of_source(request, source, manifest, settings)
    source = place(request, source, settings, height, width)
    shape = (texts.images, settings.latent_channels, height // settings.vae_factor, width // settings.vae_factor)
    seeds = checks.seeds(_either(request.seed, secrets.randbits(32)))
    if len(seeds) not in (1, texts.images):
        raise BadRequest(f"{len(seeds)} seeds for {texts.images} images; give one, or one for each image")
    masks = 0 if source.masks is None else len(source.masks)
    for name, given in (("images", source.count), ("masks", masks)):
        if given and texts.images % given:
            raise BadRequest(f"{given} {name} for {texts.images} images to make; they must divide by it")
    if masks and 1 not in (masks, source.count) and masks != source.count:
        raise BadRequest(f"{source.count} images and {masks} masks; give as many of each, or one of either")
    schedule = _schedule(request, defaults.num_inference_steps, defaults.scheduler)
    scale = checks.bounded(_either(request.guidance_scale, defaults.guidance_scale), "guidance_scale")
    rescale = checks.share(request.guidance_rescale, "guidance_rescale")
    framing, negative = framings(request, source.mode, height, width, settings.aesthetics_score)
    noise, output_type = _noise(request, seeds, shape, source.mode), _output_type(request, source)
    tiling = checks.flag(request.vae_tiling, "vae_tiling")
    # Only now: of a wrong value, such as range(10**9), no list is made.
    filled = replace(
        _plain(request), seed=_single(seeds), height=height, width=width, guidance_scale=scale,
        scheduler=schedule.scheduler,
        num_inference_steps=schedule.steps, timesteps=schedule.timesteps, sigmas=schedule.sigmas,
        strength=None if request.image is None else source.strength,
    )  # fmt: skip
    return Call(
        texts=texts,
        source=source,
        height=height,
        width=width,
        latent_shape=shape,
        noise=noise,
        schedule=schedule,
        guidance_scale=scale,
        guidance_rescale=rescale,
        framing=framing,
        negative_framing=negative,
        output_type=output_type,
        vae_tiling=tiling,
        request=filled,
    )


def _check_family(request: Request, rules: Rules) -> None:
    for name in ("crops_coords_top_left", "negative_crops_coords_top_left"):
        pair_of(request, name)  # an array among them could not be compared with the default
    wrong = [name for name in XL_ONLY if not rules.xl and not request.is_default(name)]
    if wrong:
        raise BadRequest(f"{wrong[0]} is for SDXL; this bundle is of another family")


def _plain(request: Request) -> Request:
    """The same with numbers and lists in Python's own types, as JSON has them."""

    def plain(value: Any) -> Any:
        if isinstance(value, Sequence) and not isinstance(value, str):
            entries = [plain(entry) for entry in value]
            return entries if isinstance(value, list) else tuple(entries)
        return value.item() if isinstance(value, np.generic) else value

    names = [field.name for field in fields(request) if field.name not in ARRAYS]
    return replace(request, **{name: plain(getattr(request, name)) for name in names})


def _texts(request: Request, settings: Settings) -> Texts:
    prompts = checks.texts(request.prompt, "prompt")
    negatives = _negatives(request.negative_prompt, "negative_prompt", len(prompts))
    second = prompts
    if request.prompt_2 is not None:
        own = _spread(checks.texts(request.prompt_2, "prompt_2"), "prompt_2", len(prompts), request.prompt_2)
        # As in Diffusers, an empty second text means the first; an empty one in a list does not.
        second = own if request.prompt_2 else prompts
    second_negatives = negatives
    if request.negative_prompt_2 is not None:
        other = _negatives(request.negative_prompt_2, "negative_prompt_2", len(prompts))
        second_negatives = other if request.negative_prompt_2 else negatives
    skip = request.clip_skip
    if skip is not None:
        largest = settings.largest_clip_skip
        if largest is None:
            raise BadRequest(
                f"clip_skip is {skip}, but the text encoder of this bundle was a ready graph, which gives one layer"
            )
        skip = checks.whole(skip, "clip_skip", least=0, most=largest)
    return Texts(
        prompts=(prompts, second),
        negatives=(negatives, second_negatives),
        copies=checks.whole(request.num_images_per_prompt, "num_images_per_prompt"),
        clip_skip=skip,
        chunked=checks.one_of(request.long_prompt, "long_prompt", ("cut", "chunks")) == "chunks",
    )


def _negatives(value: Any, name: str, prompts: int) -> tuple[str | None, ...]:
    return (None,) * prompts if value is None else tuple(_spread(checks.texts(value, name), name, prompts, value))


def _spread(texts: tuple[str, ...], name: str, prompts: int, value: Any = "") -> tuple[str, ...]:
    """One text serves every prompt; a list must have one for each."""
    if len(texts) == 1 and isinstance(value, str):
        return texts * prompts
    if len(texts) != prompts:
        raise BadRequest(f"{name} has {len(texts)} texts for {prompts} prompts")
    return texts


def _output_type(request: Request, source: Source) -> str:
    kind = checks.one_of(request.output_type, "output_type", ("pil", "np", "latent"))
    if source.crop is not None and kind != "pil":
        raise BadRequest(f"output_type is {kind!r}; with padding_mask_crop the result is put back into a PIL picture")
    return kind


def _noise(request: Request, seeds: tuple[int, ...], shape: tuple[int, ...], mode: Mode) -> Noise:
    first = request.latents
    if first is not None:
        if mode == "image":
            raise BadRequest("latents and image are both given; to go on from latents, give them as image")
        if not isinstance(first, np.ndarray) or first.dtype.kind not in "fiu" or first.shape != shape:
            found = first.shape if isinstance(first, np.ndarray) else type(first).__name__
            raise BadRequest(f"latents are {found}; this call needs an array of numbers of shape {shape}")
        first = finite_latents(first, "latents")
    generator = checks.one_of(request.generator, "generator", ("cpu", "cuda"))
    halves = checks.one_of(request.noise_dtype, "noise_dtype", ("float32", "float16")) == "float16"
    return Noise(seeds, generator, np.float16 if halves else np.float32, first)


def _schedule(request: Request, default_steps: int, default_scheduler: str | None) -> Schedule:
    start, end = (
        None if value is None else checks.share(value, name, open_ends=True)
        for name, value in (("denoising_start", request.denoising_start), ("denoising_end", request.denoising_end))
    )
    if start is not None and end is not None and start >= end:
        raise BadRequest(f"denoising_start is {start:g} and denoising_end {end:g}; the end must come later")
    scheduler = _either(request.scheduler, default_scheduler)
    return Schedule(
        steps=checks.whole(_either(request.num_inference_steps, default_steps), "num_inference_steps"),
        scheduler=None if scheduler is None else checks.scheduler(scheduler),
        timesteps=None if request.timesteps is None else checks.numbers(request.timesteps, "timesteps"),
        sigmas=None if request.sigmas is None else checks.numbers(request.sigmas, "sigmas"),
        eta=checks.share(request.eta, "eta"),
        start=start,
        end=end,
    )


def _either(given: T | None, default: Any) -> T | Any:
    return default if given is None else given


def _single(values: tuple[T, ...]) -> T | list[T]:
    return values[0] if len(values) == 1 else list(values)
