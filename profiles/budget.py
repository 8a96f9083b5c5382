"""What a compile may lose of the checkpoint's quality, as a profile or the command line says it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..runtime.errors import BadProfile

LARGEST_ERROR = 0.5  # of a component, where only pictures are judged: beyond it, something is broken
LARGEST_DISTANCE = 1.0  # of latents that are all zero
JUDGED = 200  # prompts that the demo model's judge knows the answers of
SHORT = {"psnr": "psnr_db", "latent": "latent_distance"}


@dataclass(frozen=True)
class Budget:
    """What may be lost; a compile that loses more fails.  None: not asked.

    relative_error: of each component's outputs, root mean square, in units of the reference's.
    psnr_db, ssim: the least of every golden image against the checkpoint's own; 0 dB and 0 ask for nothing.
    latent_distance: the largest of the same pairs; runtime/likeness.py says what it is.
    judge: how many of the 200 prompts the bundle may draw wrong that the checkpoint draws right, on balance;
    of the demo model only.
    """

    relative_error: float
    psnr_db: float
    ssim: float | None = None
    latent_distance: float | None = None
    judge: int | None = None

    def __post_init__(self) -> None:
        if not self.relative_error > 0:
            raise ValueError(f"relative_error is {self.relative_error:g}; it must be more than 0")
        _within("psnr_db", self.psnr_db, 100)
        _within("ssim", self.ssim, 1)
        _within("latent_distance", self.latent_distance, LARGEST_DISTANCE)
        _within("judge", self.judge, JUDGED)


def read_budget(word: str) -> Budget:
    """The --budget option: "30" -> golden images of 30 dB; "psnr=30,ssim=0.9,judge=4" -> each of these.

    It is the whole budget: what it does not name is not asked, and components may differ up to LARGEST_ERROR.
    Raises BadProfile for unknown words, numbers that are none, and those out of range.
    """
    found: dict[str, float] = {}
    for part in word.split(","):
        name, equals, text = (piece.strip() for piece in part.partition("="))
        name, text = (SHORT.get(name, name), text) if equals else ("psnr_db", name)
        if name not in _NAMES:
            raise BadProfile(f"--budget {word!r} has {name!r}; known: psnr, ssim, latent, judge, relative_error")
        if name in found:
            raise BadProfile(f"--budget {word!r} gives {name} twice")
        try:
            found[name] = int(text) if name == "judge" else float(text)
        except ValueError as reason:
            wanted = "a whole number" if name == "judge" else "a number"
            raise BadProfile(f"--budget {word!r}: {name} is {text!r}, which is not {wanted}") from reason
    try:
        return Budget(**{"relative_error": LARGEST_ERROR, "psnr_db": 0.0, **found})  # type: ignore[arg-type]
    except ValueError as reason:
        raise BadProfile(f"--budget {word!r}: {reason}") from reason


_NAMES = tuple(field.name for field in fields(Budget))


def _within(name: str, value: float | None, most: float) -> None:
    if value is not None and not 0 <= value <= most:  # NaN is not
        found = value if isinstance(value, int) else f"{value:g}"
        raise ValueError(f"{name} is {found}; it must be from 0 to {most:g}")
