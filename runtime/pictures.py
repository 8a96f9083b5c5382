"""The pictures and masks a caller gives, and the samples that Diffusers' VaeImageProcessor makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import BadRequest

Crop = tuple[int, int, int, int]  # left, top, right, bottom in pixels
Pictures = list[Image.Image] | np.ndarray  # all of one size; as an array (n, height, width, channels) in [0, 1]

LANCZOS = Image.Resampling.LANCZOS
LIMIT = 1 << 16  # of sides in pixels


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


def image_samples(pictures: Pictures, height: int, width: int, crop: Crop | None = None) -> np.ndarray:
    """(n, 3, height, width) float32 in [-1, 1], as VaeImageProcessor.preprocess makes them.

    pictures: from as_pictures.  crop: what to take of each; it is scaled to fit inside, and its edges fill the rest.
    Raises BadRequest for a crop of float arrays, which have no filter to scale it.
    """
    return np.float32(2) * _units(pictures, height, width, crop, "RGB") - np.float32(1)


def mask_samples(masks: Pictures, height: int, width: int, crop: Crop | None = None) -> np.ndarray:
    """(n, 1, height, width) float32, 1 where to paint and 0 elsewhere, as the inpainting pipelines' mask_processor.

    masks: from as_masks; resized in their own modes, turned gray, and cut at a half.  crop: as in image_samples.
    """
    return (_units(masks, height, width, crop, "L") >= 0.5).astype(np.float32)


def shrink_mask(samples: np.ndarray, height: int, width: int) -> np.ndarray:
    """(n, 1, h, w) -> (n, 1, height, width) by nearest pixels, as torch's interpolate brings masks to latents."""
    return _nearest(samples, height, width)


def crop_region(mask: Image.Image, width: int, height: int, padding: int) -> Crop:
    """What of a picture to paint at (width, height): the mask's bounds, padded, and grown towards that shape.

    The region stays inside the mask, so that it keeps another shape where there is no room to grow.
    Raises BadRequest for a mask that is black all over and for a negative padding.
    Source: VaeImageProcessor.get_crop_region.
    """
    if padding < 0:
        raise BadRequest(f"the padding around a mask's crop is {padding}; it must be 0 or more pixels")
    white = np.asarray(mask.convert("L")) != 0
    if not white.any():
        raise BadRequest("the mask is black all over; paint white what is to be painted anew")
    (left, right), (top, bottom) = (_bounds(white.any(axis), padding) for axis in (0, 1))
    shape = width / height
    if (right - left) / (bottom - top) > shape:
        top, bottom = _grown(top, bottom, (right - left) / shape, mask.height)
    else:
        left, right = _grown(left, right, (bottom - top) * shape, mask.width)
    return left, top, right, bottom


def overlay(printed: Image.Image, mask: Image.Image, original: Image.Image, crop: Crop) -> Image.Image:
    """The original with what was printed of its crop laid under it, seen through the mask's white; RGB.

    Raises BadRequest where mask and original differ in size.
    Source: VaeImageProcessor.apply_overlay.
    """
    if mask.size != original.size:
        sizes = f"{_sides(mask.size)} and {_sides(original.size)}"
        raise BadRequest(f"mask and picture are {sizes} (height x width); a crop around the mask needs one size")
    # Multiplied by alpha, "RGBa", where the mask is gray; the conversions round, so that their order counts.
    above = Image.new("RGBa", original.size)
    above.paste(original.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
    left, top, right, bottom = crop
    below = Image.new("RGBA", original.size)
    below.paste(_cover(printed, right - left, bottom - top), (left, top))
    whole = below.convert("RGB").convert("RGBA")
    whole.alpha_composite(above.convert("RGBA"))
    return whole.convert("RGB")


def _units(pictures: Pictures, height: int, width: int, crop: Crop | None, mode: str) -> np.ndarray:
    """(n, channels, height, width) float32 in [0, 1]."""
    if isinstance(pictures, np.ndarray):
        if crop is not None:
            raise BadRequest("a crop around the mask needs pictures and masks as PIL or uint8, not as float arrays")
        return _nearest(pictures.transpose(0, 3, 1, 2), height, width)
    if crop is None:
        resized = [picture.resize((width, height), LANCZOS) for picture in pictures]
    else:
        resized = [_fill(picture.crop(crop), width, height) for picture in pictures]
    levels = np.stack([np.asarray(picture.convert(mode), np.float32) for picture in resized])
    return levels.reshape(len(levels), height, width, -1).transpose(0, 3, 1, 2) / np.float32(255)


def _nearest(x: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = _sources(x.shape[2], height), _sources(x.shape[3], width)
    return x[:, :, rows[:, None], columns]


def _sources(found: int, wanted: int) -> np.ndarray:
    # Torch scales in float32; a few ratios come out one pixel lower than exact division has it.
    scale = np.float32(found) / np.float32(wanted)
    return (np.arange(wanted, dtype=np.float32) * scale).astype(np.int64)


def _fill(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Scaled to fit inside, in the middle; its edges, drawn out, fill the rest.  RGB."""
    wide = width / height < picture.width / picture.height
    scaled = _scaled(picture, width, height, wide)
    filled = _centered(scaled, width, height)
    above, beside = height // 2 - scaled.height // 2, width // 2 - scaled.width // 2
    # Boxes of no height or width: the filter takes the pixels next to that line.
    if wide and above > 0:
        for box_y, y in ((0, 0), (scaled.height, above + scaled.height)):
            filled.paste(scaled.resize((width, above), box=(0, box_y, width, box_y)), (0, y))
    elif not wide and beside > 0:
        for box_x, x in ((0, 0), (scaled.width, beside + scaled.width)):
            filled.paste(scaled.resize((beside, height), box=(box_x, 0, box_x, height)), (x, 0))
    return filled


def _cover(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Scaled to cover, in the middle; what is outside is cut.  RGB."""
    tall = width / height > picture.width / picture.height
    return _centered(_scaled(picture, width, height, tall), width, height)


def _scaled(picture: Image.Image, width: int, height: int, to_width: bool) -> Image.Image:
    # Where Diffusers would come to a side of 0, and fail, it is 1.
    if to_width:
        return picture.resize((width, max(1, picture.height * width // picture.width)), LANCZOS)
    return picture.resize((max(1, picture.width * height // picture.height), height), LANCZOS)


def _centered(picture: Image.Image, width: int, height: int) -> Image.Image:
    canvas = Image.new("RGB", (width, height))
    canvas.paste(picture, (width // 2 - picture.width // 2, height // 2 - picture.height // 2))
    return canvas


def _bounds(white: np.ndarray, padding: int) -> tuple[int, int]:
    places = np.flatnonzero(white)
    return max(int(places[0]) - padding, 0), min(int(places[-1]) + 1 + padding, len(white))


def _grown(start: int, end: int, wanted: float, limit: int) -> tuple[int, int]:
    """A stretch as long as wanted around the old one, moved inside 0 to limit, and cut there."""
    more = int(wanted - (end - start))
    start, end = start - more // 2, end + more - more // 2
    if end > limit:
        start, end = start - (end - limit), limit
    if start < 0:
        start, end = 0, end - start
    return start, min(end, limit)


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
        raise BadRequest(f"{name} has sizes {', '.join(map(_sides, sizes))} (height x width); a batch is of one size")
    if not all(1 <= side <= LIMIT for side in sizes[0]):
        raise BadRequest(f"{name} is {_sides(sizes[0])} (height x width); sides must be from 1 to {LIMIT}")
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


def _sides(size: tuple[int, int]) -> str:
    width, height = size
    return f"{height}x{width}"


def _said(reason: Exception) -> str:
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(str(text).split())
