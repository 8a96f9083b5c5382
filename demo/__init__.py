"""The embedded demo model: a small Stable Diffusion that draws coloured shapes."""

from pathlib import Path

MODEL = Path(__file__).parent / "model"
GUIDANCE_SCALE = 2.5  # what its score was measured with; more saturates so small a model
