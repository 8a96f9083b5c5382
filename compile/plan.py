"""Everything that can be known, and refused, before the first slow minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..profiles.profile import Profile
from ..quantize.scheme import NONE, find_scheme
from ..runtime.errors import BadModel, BadProfile, OutputFailed, TargetMismatch
from ..runtime.manifest import NAME, Component, Defaults
from ..runtime.precision import BITS, Precision
from ..runtime.scheduler import make_scheduler
from ..runtime.shapes import Shapes
from ..runtime.target import Target
from ..targets import AUTO, backend, choose, nearest
from .adapters import check_adapters
from .checkpoint import Checkpoint
from .family import Anatomy, find_family
from .onnx_folder import pipeline_class, without_clip_skip
from .quantized import Recipe, recipe_of
from .reference import GoldenPlan
from .tokenizers import check_tokenizer
from .weight_file import count_parameters


@dataclass(frozen=True)
class Plan:
    """What a compile will do.  reason: why this target.  verify_on: the target that the bundle is verified on.

    parameters: how many numbers each component's folder holds.  recipes: what each component's layers get.
    """

    checkpoint: Checkpoint
    anatomy: Anatomy
    profile: Profile
    target: Target
    reason: str
    verify_on: Target
    shapes: Shapes
    components: tuple[Component, ...]
    recipes: dict[str, Recipe]
    parameters: dict[str, int]
    goldens: tuple[GoldenPlan, ...]
    defaults: Defaults
    output: Path

    def size_bytes(self, component: Component) -> int:
        """About what the component's weights will take."""
        scheme = self.recipes[component.name].default.scheme
        bits = BITS[Precision.parse(component.precision).weights] if scheme == NONE else find_scheme(scheme).BITS
        return int(self.parameters[component.name] * bits / 8)


def make_plan(
    checkpoint: Checkpoint,
    target_word: str,
    profile: Profile,
    *,
    output: Path | None = None,
    prompts: tuple[str, ...] = (),
    require_device: bool = False,
) -> Plan:
    """Resolve and check; reads configurations and headers, no weights.

    target_word: a target or "auto".  output: the bundle's folder, by default named after model and target.
    prompts: of the golden images, in place of the checkpoint's.
    Raises Error for whatever can't be built, saying what would work.
    """
    chosen, reason = choose() if target_word == AUTO else (Target.parse(target_word), "asked for")
    builder = backend(chosen)
    verify_on = nearest(chosen)
    if require_device and verify_on != chosen:
        raise TargetMismatch(f"{chosen} is not on this machine; without --require-device it is verified on {verify_on}")

    anatomy = _anatomy(checkpoint)
    shapes = profile.shapes.resolve(anatomy.native)
    for height, width in shapes.corners:
        shapes.check_size(height, width, int(anatomy.settings["multiple"]))
    recipes = {part.name: recipe_of(profile, part.name) for part in anatomy.networks}
    components = tuple(_component(part.name, anatomy, profile, recipes, shapes) for part in anatomy.networks)
    for component in components:
        builder.check(chosen.device, component.name, component.precision, bool(shapes.sizes))
        _check_schemes(component.name, recipes[component.name], chosen, builder.SCHEMES)

    wished = profile.defaults
    steps = anatomy.steps if wished.num_inference_steps is None else wished.num_inference_steps
    scales = (wished.guidance_scale, checkpoint.guidance_scale, anatomy.guidance_scale)
    scale = next(value for value in scales if value is not None)
    scheduler = checkpoint.config("scheduler")
    for count in (steps, profile.verify.steps):
        make_scheduler(scheduler, count, wished.scheduler)

    words = (checkpoint.name, *(lora.file.stem for lora in checkpoint.loras), chosen.backend, chosen.device)
    folder = output or Path("-".join(words))
    _check_output(folder)
    height, width = shapes.default_size
    texts = prompts or checkpoint.prompts
    # Half the way from a picture, or of few steps at least one: Diffusers rounds down.
    strength = max(0.5, 1 / profile.verify.steps) if anatomy.settings["image_to_image"] else None
    goldens = tuple(
        GoldenPlan(
            texts[seed % len(texts)], seed, profile.verify.steps, scale, height, width, wished.scheduler, strength
        )
        for seed in range(max(profile.verify.images, len(prompts)))
    )
    parameters = {part.name: _parameters(checkpoint, checkpoint.part(part)) for part in anatomy.networks}
    return Plan(
        checkpoint=checkpoint,
        anatomy=anatomy,
        profile=profile,
        target=chosen,
        reason=reason,
        verify_on=verify_on,
        shapes=shapes,
        components=components,
        recipes=recipes,
        parameters=parameters,
        goldens=goldens,
        defaults=Defaults(steps, scale, wished.scheduler),
        output=folder,
    )


def _anatomy(checkpoint: Checkpoint) -> Anatomy:
    kind = pipeline_class(str(checkpoint.configs["model_index"].get("_class_name")))
    family = find_family(kind)
    try:
        anatomy: Anatomy = family.anatomy(checkpoint.configs)
    except KeyError as reason:
        raise BadModel(f"{checkpoint.source} has no configuration of {reason}, which a {kind} needs") from reason
    except (TypeError, ValueError) as reason:
        raise BadModel(f"{checkpoint.source} has a configuration that no {kind} has: {reason}") from reason
    if checkpoint.is_onnx:
        anatomy = without_clip_skip(anatomy)
    for network in anatomy.networks:
        checkpoint.weight_files(checkpoint.part(network))
    for name in anatomy.tokenizers:
        check_tokenizer(checkpoint.folder / name)
    check_adapters(checkpoint, anatomy)
    return anatomy


def _component(
    name: str, anatomy: Anatomy, profile: Profile, recipes: Mapping[str, Recipe], shapes: Shapes
) -> Component:
    network = next(network for network in anatomy.networks if network.name == name)
    rows: tuple[int, ...] = (1,)
    if network.stage == "denoise":
        double = anatomy.guided and shapes.guidance == "batch"
        rows = (2 * shapes.batch, shapes.batch) if double else (shapes.batch,)
    return Component(
        name, "", profile.precision_of(name), network.inputs, network.outputs, rows, scheme=recipes[name].word
    )


def _check_schemes(component: str, recipe: Recipe, target: Target, lowered: tuple[str, ...]) -> None:
    """Raises BadProfile for a scheme that the target does not run.  lowered: those that it does."""
    wrong = [scheme for scheme in recipe.schemes if scheme not in lowered]
    if wrong:
        raise BadProfile(f"{target} does not run {wrong[0]}, which {component} asks for; it runs {', '.join(lowered)}")


def _check_output(folder: Path) -> None:
    """Raises OutputFailed unless `folder` can be made, or is a bundle that may be replaced."""
    if folder.exists() and not (folder / NAME).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputFailed(f"{folder} exists and is no bundle; choose another folder with -o")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        probe = folder.parent / f".{folder.name}.probe"
        probe.touch()
        probe.unlink()
    except OSError as reason:
        raise OutputFailed(f"can't write to {folder.parent}: {reason.strerror}") from reason


def _parameters(checkpoint: Checkpoint, folder: str) -> int:
    """How many float weights the files hold, from their headers."""
    if checkpoint.is_onnx:
        return sum(file.stat().st_size for file in checkpoint.weight_files(folder)) // 4
    return sum(count_parameters(file) for file in checkpoint.weight_files(folder))
