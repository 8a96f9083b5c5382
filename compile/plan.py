"""Everything that can be known, and refused, before the first slow minute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..profiles.profile import Profile
from ..quantize.assign import Assignment, unmet
from ..quantize.scheme import NONE
from ..runtime.errors import BadModel, BadProfile, OutputFailed, TargetMismatch
from ..runtime.manifest import NAME, Component, Defaults
from ..runtime.precision import Precision
from ..runtime.scheduler import make_scheduler
from ..runtime.shapes import Shapes
from ..runtime.target import Target
from ..targets import AUTO, all_targets, backend, check_verifiable, choose, in_words, nearest
from ..targets.order import Order
from .adapters import check_adapters
from .checkpoint import Checkpoint
from .family import Anatomy, Network, find_family
from .foreseen import Weight, assign_all, stored_bytes, weights_of
from .judged import check_judge
from .onnx_folder import pipeline_class, without_clip_skip
from .quantized import Recipe, recipe_of, rules_of
from .reference import GoldenPlan
from .tokenizers import check_tokenizer


@dataclass(frozen=True)
class Plan:
    """What a compile will do.

    order: of its artifacts.  reason: why this target.  verify_on: the target that the bundle is verified on.

    recipes: what is asked for each component's layers.  assignments: what each layer gets.  weights: all tensors.
    """

    checkpoint: Checkpoint
    anatomy: Anatomy
    profile: Profile
    order: Order
    reason: str
    verify_on: Target
    components: tuple[Component, ...]
    recipes: dict[str, Recipe]
    assignments: dict[str, tuple[Assignment, ...]]
    weights: dict[str, tuple[Weight, ...]]
    goldens: tuple[GoldenPlan, ...]
    defaults: Defaults
    output: Path

    @property
    def target(self) -> Target:
        """What the bundle is for."""
        return self.order.target

    @property
    def shapes(self) -> Shapes:
        """The sizes that it is built for."""
        return self.order.shapes

    def size_bytes(self, component: Component) -> int:
        """What the component's weights will take."""
        precision = Precision.parse(component.precision)
        return stored_bytes(self.weights[component.name], self.assignments[component.name], precision)

    @property
    def calibrated(self) -> bool:
        """Whether a layer's scheme asks what the layer is given."""
        return any(found.calibrated for assignments in self.assignments.values() for found in assignments)

    @property
    def unmet(self) -> dict[str, dict[str, int]]:
        """Why layers do not get what is asked for them: reason -> component -> how many."""
        found: dict[str, dict[str, int]] = {}
        for component, assignments in self.assignments.items():
            for reason, layers in unmet(assignments).items():
                found.setdefault(reason, {})[component] = layers
        return found


def make_plan(
    checkpoint: Checkpoint,
    target_word: str,
    profile: Profile,
    *,
    output: Path | None = None,
    prompts: tuple[str, ...] = (),
    require_device: bool = False,
    on_device: bool = False,
) -> Plan:
    """Resolve and check; reads configurations, headers and graphs, no weights.

    target_word: a target or "auto".  output: the bundle's folder, by default named after model and target.
    prompts: of the golden images, in place of the checkpoint's.  on_device: the machine that runs the bundle builds its
    engines.
    Raises Error for whatever can't be built, saying what would work.
    """
    chosen, reason = choose() if target_word == AUTO else (Target.parse(target_word), "asked for")
    builder = backend(chosen)
    anatomy = _anatomy(checkpoint)
    shapes = profile.shapes.resolve(anatomy.native)
    order = Order(chosen, shapes, profile.tensorrt, on_device)
    builder.ready(order)
    verify_on = nearest(order)
    if require_device and verify_on != chosen:
        raise TargetMismatch(f"{chosen} is not on this machine; without --require-device it is verified on {verify_on}")

    for height, width in shapes.corners:
        shapes.check_size(height, width, int(anatomy.settings["multiple"]))
    check_judge(profile.budget, checkpoint, shapes)
    recipes = {part.name: recipe_of(profile, part.name, builder.settings) for part in anatomy.networks}
    weights = {part.name: tuple(weights_of(checkpoint, part, recipes[part.name].asks)) for part in anatomy.networks}
    assignments = assign_all(recipes, rules_of(profile, builder.settings), weights)
    components = []
    for part in anatomy.networks:
        quantized = any(assignment.scheme != NONE for assignment in assignments[part.name])
        components.append(_component(part, anatomy, profile, shapes, recipes[part.name].word if quantized else NONE))
        builder.check(chosen.device, part.name, components[-1].precision, bool(shapes.sizes))
        check_verifiable(order, verify_on, part.name, components[-1].precision)
        _check_schemes(part.name, assignments[part.name], chosen)

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
    return Plan(
        checkpoint=checkpoint,
        anatomy=anatomy,
        profile=profile,
        reason=reason,
        verify_on=verify_on,
        order=order,
        components=tuple(components),
        recipes=recipes,
        assignments=assignments,
        weights=weights,
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


def _component(network: Network, anatomy: Anatomy, profile: Profile, shapes: Shapes, scheme: str) -> Component:
    rows: tuple[int, ...] = (1,)
    if network.stage == "denoise":
        double = anatomy.guided and shapes.guidance == "batch"
        rows = (2 * shapes.batch, shapes.batch) if double else (shapes.batch,)
    precision = profile.precision_of(network.name)
    return Component(network.name, "", precision, network.inputs, network.outputs, rows, scheme=scheme)


def _check_schemes(component: str, assignments: Iterable[Assignment], target: Target) -> None:
    """Raises BadProfile for a scheme that the target does not run, saying what it runs, and what runs the scheme."""
    lowered = schemes_of(target)
    wrong = [found.scheme for found in assignments if found.scheme not in (NONE, *lowered)]
    if wrong:
        able = [other for other in map(Target.parse, all_targets()) if wrong[0] in schemes_of(other)]
        elsewhere = f"{wrong[0]} runs on {in_words(able)}" if able else f"no target runs {wrong[0]} yet"
        raise BadProfile(
            f"{target} does not run {wrong[0]}, which {component} asks for; "
            f"it runs {', '.join(lowered) or NONE}, and {elsewhere}"
        )


def schemes_of(target: Target) -> tuple[str, ...]:
    """The schemes that a target runs, the most exact first."""
    found: tuple[str, ...] = backend(target).schemes(target.device)
    return found


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
