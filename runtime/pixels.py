"""Between the VAE's numbers and pictures, rounded as Diffusers rounds; results as files."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from .errors import BadRequest, OutputFailed

TEXT_KEY = "aquatint"


def to_unit(sample: np.ndarray) -> np.ndarray:
    """Values in [-1, 1] -> [0, 1] float32; those outside are cut."""
    unit: np.ndarray = np.clip(sample.astype(np.float32) / 2 + np.float32(0.5), 0, 1)
    return unit


def to_image(sample: np.ndarray) -> Image.Image:
    """sample: (3, height, width) in [-1, 1] -> an RGB picture; values outside are cut."""
    return Image.fromarray((to_unit(sample).transpose(1, 2, 0) * 255).round().astype(np.uint8))


def to_sample(image: Image.Image) -> np.ndarray:
    """A picture -> (3, height, width) float32 in [-1, 1]."""
    return np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1) / np.float32(127.5) - np.float32(1)


def psnr_db(image: Image.Image, reference: Image.Image) -> float:
    """Peak signal to noise ratio of two 8-bit pictures of the same size; 100 where they are equal."""
    if image.size != reference.size:
        raise ValueError(f"pictures differ in size: {image.size} and {reference.size}")
    error = np.asarray(image.convert("RGB"), np.float64) - np.asarray(reference.convert("RGB"), np.float64)
    mean_square = float(np.mean(error**2))
    return 100.0 if mean_square == 0 else min(100.0, 10 * float(np.log10(255.0**2 / mean_square)))


def write_whole(path: Path, save: Callable[[Path], object]) -> None:
    """Save under another name beside `path`, and rename: what was there stays until the new file is whole.

    save: writes the file that it is given.  Raises OutputFailed where the folder is missing, unwritable or full.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        save(beside)
        beside.replace(path)
    except OSError as reason:
        raise OutputFailed(f"can't write {path}: {reason.strerror or reason}") from reason
    finally:
        with suppress(OSError):
            beside.unlink()


def save_png(image: Image.Image, path: Path, settings: dict[str, Any]) -> None:
    """Write a PNG that carries `settings` as JSON in its text, whole or not at all.

    Raises OutputFailed where the folder is missing, unwritable or full.
    """
    text = PngInfo()
    text.add_itxt(TEXT_KEY, json.dumps(settings, ensure_ascii=False))
    write_whole(path, lambda beside: image.save(beside, format="PNG", pnginfo=text))


def save_array(array: np.ndarray, path: Path) -> None:
    """Write a .npy file, whole or not at all.  Raises OutputFailed as save_png does."""

    def save(beside: Path) -> None:
        with beside.open("wb") as file:
            np.save(file, array, allow_pickle=False)

    write_whole(path, save)


def read_settings(path: Path) -> Any:
    """What save_png wrote into a PNG, as JSON gives it; nothing in it is checked.

    Raises BadRequest, in one line with the path: no such file, no PNG, a broken one, or one without settings.
    """
    try:
        # No other of Pillow's readers: this file may be a stranger's.
        with Image.open(path, formats=["PNG"]) as image:
            text = getattr(image, "text", {}).get(TEXT_KEY)
    except UnidentifiedImageError as reason:
        raise BadRequest(f"can't read {path}: it is no PNG") from reason
    except Exception as reason:  # Pillow's readers raise nearly anything for a broken file.
        said = " ".join(str(getattr(reason, "strerror", None) or reason).split())
        raise BadRequest(f"can't read {path}: {said}") from reason
    if text is None:
        raise BadRequest(f"{path} does not say how it was made; only PNGs as aquatint wrote them do")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise BadRequest(f"what {path} says of how it was made is damaged; it is no JSON") from reason
