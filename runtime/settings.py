"""What a pipeline needs to know of its model besides the shapes of its networks: the manifest's `settings`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """Latents as the VAE has them = latents / scaling_factor.

    vae_factor: pixels per latent.  tile_size: pixels that the VAE sees at once where it works in tiles.
    multiple: what height and width divide by.  guidance_embedding: width of the UNet's input for the guidance scale
    (LCM), or None.  zero_empty_negative: SDXL's negative is zeros where the caller gives none.
    inpainting: the UNet also sees a mask and the picture under it.
    image_to_image: it only goes on from a picture.  aesthetics_score: it is told one (both: SDXL's refiner).
    largest_clip_skip: of the text encoders, or None where their graphs give one layer only.
    embeddings: words that textual inversion added -> how many vectors each stands for.
    """

    latent_channels: int
    scaling_factor: float
    vae_factor: int = 8
    tile_size: int = 512
    multiple: int = 8
    guidance_embedding: int | None = None
    zero_empty_negative: bool = False
    inpainting: bool = False
    image_to_image: bool = False
    aesthetics_score: bool = False
    largest_clip_skip: int | None = None
    embeddings: dict[str, int] = field(default_factory=dict)
