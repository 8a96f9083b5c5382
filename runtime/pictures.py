"""The pictures and masks that a caller gives, read and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .checks import LIMIT
from .errors import BadRequest

Pictures = list[Image.Image] | np.ndarray  # all of one size; as an array (n, height, width, channels) in [0, 1]


def read_picture(path: Path) -> Image.Image:
    """A file of any format that Pillow reads, turned as its EXIF says, in its own mode.

    Raises BadRequest, in one line with the path, where there is no such file, or it is no picture, or broken.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image)
    except UnidentifiedImageError as reason:
        raise BadRequest(f"can't read {path}: it is no picture of a format that Pillow knows") from reason
    except Exception as reason:  # Pillow's readers raise nearly anything for a broken file.
        raise BadRequest(f"can't read {path}: {_said(reason)}") from reason


def as_pictures(value: Any, name: str) -> Pictures:
    """A caller's picture or pictures: RGB ones as diffusers.utils.load_image makes them, or (n, height, width, 3).

    value: PIL of any mode of 8 bits a channel; an array of shape (h, w, 3) or (n, h, w, 3), of floats in [0, 1], which
    Diffusers resizes without a filter, or of uint8, which counts as PIL; or a list of these.
    Transparency is dropped.  Floats are rounded to float32 at once, which Diffusers does after scaling to [-1, 1].
    Raises BadRequest: no picture, none at all, two sizes or kinds, a side of 0 or past LIMIT, values outside [0, 1];
    16 bits or more a channel, which load_image would cut at 255.
    """

    def one(value: Any) -> Pictures:
        if isinstance(value, Image.Image):
            return [_turned(value, name, ("RGB",)).convert("RGB")]
        array = _array(value, name, "a picture", "(h, w, 3) or (n, h, w, 3)")
        batch = array[None] if array.ndim == 3 else array
        if batch.ndim != 4 or batch.shape[3] != 3 or array.dtype == bool:
            raise BadRequest(f"{name} is {_kind(array)}; it must be (h, w, 3) or (n, h, w, 3), floats or uint8")
        return [Image.fromarray(levels) for levels in batch] if batch.dtype == np.uint8 else batch

    return _together(value, name, one)


def as_masks(value: Any, name: str) -> Pictures:
    """A caller's mask or masks, white where to paint: PIL in their own modes, or (n, height, width, 1).

    value: PIL; an array of shape (h, w), (h, w, 1), (n, h, w) or (n, h, w, 1), of floats in [0, 1] or bool, or of
    uint8 to 255, which counts as PIL; or a list of these.
    Raises BadRequest as as_pictures does, and for uint8 where white would be 1.
    """

    def one(value: Any) -> Pictures:
        if isinstance(value, Image.Image):
            return [_turned(value, name, ("L", "RGB"))]
        array = _array(value, name, "a mask", "(h, w) or (n, h, w)")
        # A last side of 1 is the channel, as it is to Diffusers.
        flat = array[..., 0] if array.ndim in (3, 4) and array.shape[-1] == 1 else array
        batch = flat[None] if flat.ndim == 2 else flat
        if batch.ndim != 3:
            raise BadRequest(f"{name} is {_kind(array)}; it must be (h, w), (n, h, w) or (n, h, w, 1)")
        if batch.dtype != np.uint8:
            return batch[..., None]
        if batch.size and batch.max() == 1:
            raise BadRequest(f"{name} is uint8 with values of 0 and 1, and white is 255; multiply it, or give bool")
        return [Image.fromarray(levels) for levels in batch]

    return _together(value, name, one)


def usual_size(pictures: Pictures, factor: int) -> tuple[int, int]:
    """(height, width) that Diffusers' img2img gives them: down to multiples of factor, 0 for less than one."""
    height, width = _size(pictures)
    return height - height % factor, width - width % factor


def sides(size: tuple[int, int]) -> str:
    """(width, height) as messages say it, the height first."""
    width, height = size
    return f"{height}x{width}"


def _together(value: Any, name: str, one: Callable[[Any], Pictures]) -> Pictures:
    values = list(value) if isinstance(value, list | tuple) else [value]
    parts = [one(value) for value in values]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    pictures = [picture for part in parts if not isinstance(part, np.ndarray) for picture in part]
    if arrays and pictures:
        raise BadRequest(f"{name} has both PIL (or uint8) and float arrays; give one kind")
    sizes = sorted({picture.size for picture in pictures} | {(part.shape[2], part.shape[1]) for part in arrays})
    if not pictures and not any(map(len, arrays)):
        raise BadRequest(f"{name} is empty; it must have at least one picture")
    if len(sizes) > 1:
        raise BadRequest(f"{name} has sizes {', '.join(map(sides, sizes))} (height x width); a batch is of one size")
    if not all(1 <= side <= LIMIT for side in sizes[0]):
        raise BadRequest(f"{name} is {sides(sizes[0])} (height x width); sides must be from 1 to {LIMIT}")
    if not arrays:
        return pictures
    for part in arrays:
        if not ((part >= 0) & (part <= 1)).all():
            raise BadRequest(f"{name} has values from {part.min()} to {part.max()}; they must lie in [0, 1]")
    return np.concatenate([part.astype(np.float32) for part in arrays])


def _turned(image: Image.Image, name: str, modes: tuple[str, ...]) -> Image.Image:
    """The picture loaded and turned as its EXIF says, once it is known to convert to modes."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        raise BadRequest(
            f'{name} is PIL of mode "{image.mode}", which Pillow would cut at 255; '
            'give 8 bits a channel (mode "RGB" or "L"), or a float array in [0, 1]'
        )
    try:
        turned = ImageOps.exif_transpose(image)
        for mode in modes:
            turned.crop((0, 0, 1, 1)).convert(mode)
    except Exception as reason:  # A picture that was opened and not loaded fails here, with nearly anything.
        raise BadRequest(f"{name} can't be read: {_said(reason)}") from reason
    return turned


def _array(value: Any, name: str, kind: str, shapes: str) -> np.ndarray:
    if not isinstance(value, np.ndarray):
        raise BadRequest(f"{name} is of type {type(value).__name__}, no {kind[2:]}; give PIL, or an array {shapes}")
    if not (np.issubdtype(value.dtype, np.floating) or value.dtype in (np.uint8, np.bool_)):
        raise BadRequest(f"{name} is {_kind(value)}; {kind} is of floats in [0, 1] or uint8")
    return np.asarray(value)  # without a matrix's or a masked array's own ways


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _size(pictures: Pictures) -> tuple[int, int]:
    if isinstance(pictures, np.ndarray):
        return pictures.shape[1], pictures.shape[2]
    return pictures[0].height, pictures[0].width


def _said(reason: Exception) -> str:
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(str(text).split())
