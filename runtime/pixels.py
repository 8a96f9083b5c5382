"""Between the VAE's numbers and pictures, rounded as Diffusers rounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .errors import OutputFailed

TEXT_KEY = "aquatint"


def to_image(sample: np.ndarray) -> Image.Image:
    """sample: (3, height, width) in [-1, 1] -> an RGB picture; values outside are cut."""
    unit = np.clip(sample.astype(np.float32) / 2 + np.float32(0.5), 0, 1)
    return Image.fromarray((unit.transpose(1, 2, 0) * 255).round().astype(np.uint8))


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


def save_png(image: Image.Image, path: Path, settings: dict[str, Any]) -> None:
    """Write a PNG that carries `settings` as JSON in its text, whole or not at all.

    Raises OutputFailed where the folder is missing, unwritable or full.
    """
    text = PngInfo()
    text.add_itxt(TEXT_KEY, json.dumps(settings, ensure_ascii=False))
    beside = path.with_name(f".{path.name}.part")
    try:
        image.save(beside, format="PNG", pnginfo=text)
        beside.replace(path)
    except OSError as reason:
        beside.unlink(missing_ok=True)
        raise OutputFailed(f"can't write {path}: {reason.strerror or reason}") from reason
