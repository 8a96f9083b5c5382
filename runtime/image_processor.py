"""Pictures and masks to samples, and prints back into pictures, as Diffusers' VaeImageProcessor does it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from .errors import BadRequest
from .pictures import Pictures, sides

Crop = tuple[int, int, int, int]  # left, top, right, bottom in pixels

LANCZOS = Image.Resampling.LANCZOS


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
        sizes = f"{sides(mask.size)} and {sides(original.size)}"
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
