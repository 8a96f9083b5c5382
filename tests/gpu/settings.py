"""What a proof is asked for, and what of it each model gets."""

from __future__ import annotations

from dataclasses import dataclass

from aquatint.bench.checkpoints import ARCHITECTURES

DEMO = "demo"
TEXT_TO_IMAGE = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
# Random weights at a small size, or the demo's: small enough to be printed on a CPU too, call by call.
SMALL = (DEMO, "tiny-sd", "tiny-sd-v", "tiny-sdxl")
MODELS = (DEMO, *(name for name, made in ARCHITECTURES.items() if made.pipeline in TEXT_TO_IMAGE and "lcm" not in name))
BASELINES = ("eager", "compile", "reduce-overhead")
LEAST_STEPS = 3  # the first of a picture is not timed


@dataclass(frozen=True)
class Settings:
    """targets: as the user wrote them; none: all that are installed here.  size: pixels, of models that are not small.

    repeats: pictures that are timed in each process.  timeout_s: for each process.
    """

    targets: tuple[str, ...]
    models: tuple[str, ...] = (DEMO, "sd15")
    size: int = 512
    steps: int = 20
    repeats: int = 5
    baselines: tuple[str, ...] = ("eager", "compile")
    quick: bool = False
    timeout_s: float = 7200.0

    def __post_init__(self) -> None:
        for kind, given, known in (("model", self.models, MODELS), ("baseline", self.baselines, BASELINES)):
            wrong = [name for name in given if name not in known]
            if wrong:
                raise ValueError(f"no {kind} {wrong[0]!r}; known: {', '.join(known)}")
        if not self.models:
            raise ValueError(f"no model is named; known: {', '.join(MODELS)}")
        if self.steps < LEAST_STEPS or self.repeats < 1:
            raise ValueError(
                f"steps is {self.steps} and repeats {self.repeats}; they must be {LEAST_STEPS} and 1 or more"
            )

    @property
    def timed(self) -> tuple[str, ...]:
        """The models whose speed and memory are measured: the large ones, where one is asked for."""
        return tuple(model for model in self.models if model not in SMALL) or self.models[:1]

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """All bundles of the proof, for any one target."""
        return tuple(recipe for model in self.models for recipe in self._recipes(model))

    def _recipes(self, model: str) -> tuple[Recipe, ...]:
        if model not in SMALL:
            return (Recipe(model, "balanced", size=self.size),)
        return Recipe(model, "exact"), Recipe(model, "balanced"), Recipe(model, "balanced", batch=2)


@dataclass(frozen=True)
class Recipe:
    """One bundle, but for its target.  batch: of the denoiser.  size: pixels, square; None for the model's own."""

    model: str
    profile: str
    batch: int = 1
    size: int | None = None

    @property
    def name(self) -> str:
        """Of folders."""
        words = (self.model, self.profile, f"batch{self.batch}" if self.batch > 1 else "", str(self.size or ""))
        return "-".join(word for word in words if word)


def quick(settings: Settings) -> Settings:
    """The same in few steps, of the small models that were asked for, or of the demo."""
    small = tuple(model for model in settings.models if model in SMALL)
    return Settings(
        settings.targets, small or (DEMO,), settings.size, min(settings.steps, 6), min(settings.repeats, 2),
        settings.baselines, True, settings.timeout_s,
    )  # fmt: skip


def variants(target: str, settings: Settings) -> dict[str, dict[str, object]]:
    """Options of the engine that are timed beside the defaults: name -> fields of EngineOptions."""
    backend = target.partition(":")[0]
    if settings.quick or (target != "ort:cuda" and backend != "tensorrt"):
        return {}
    plain: dict[str, dict[str, object]] = {"graphs off": {"graphs": False}}
    if backend == "tensorrt":
        return plain
    return plain | {
        "conv_search exhaustive": {"conv_search": "exhaustive"},
        "conv_layout nhwc": {"conv_layout": "nhwc"},
        "nhwc, exhaustive": {"conv_layout": "nhwc", "conv_search": "exhaustive"},
        "arena powers-of-two": {"arena": "powers-of-two"},
    }
