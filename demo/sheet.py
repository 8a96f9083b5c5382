"""A contact sheet: pictures in rows, each above its prompt."""

import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN_PX = 8
LINE_PX = 12
LINES = 3
FONT_PX = 10


def contact_sheet(pairs: list[tuple[str, np.ndarray]], columns: int = 10) -> Image.Image:
    """Pictures, uint8 (height, width, 3) of one size, each with its prompt in small type below."""
    height, width = pairs[0][1].shape[:2]
    cell_width, cell_height = width + MARGIN_PX, height + LINES * LINE_PX + MARGIN_PX
    rows = -(-len(pairs) // columns)
    columns = min(columns, len(pairs))
    image = Image.new("RGB", (columns * cell_width + MARGIN_PX, rows * cell_height + MARGIN_PX), "white")
    canvas = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT_PX)
    letters = int(width / (0.52 * FONT_PX))
    for i, (prompt, picture) in enumerate(pairs):
        x, y = MARGIN_PX + i % columns * cell_width, MARGIN_PX + i // columns * cell_height
        image.paste(Image.fromarray(picture), (x, y))
        # White pictures would melt into the sheet.
        canvas.rectangle((x - 1, y - 1, x + width, y + height), outline=(190, 190, 190))
        for line, text in enumerate(textwrap.wrap(prompt, letters)[:LINES]):
            canvas.text((x, y + height + 1 + line * LINE_PX), text, fill="black", font=font)
    return image
