"""A VAE in tiles, against Diffusers' own AutoencoderKL with tiling on."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from aquatint.bench.checkpoints import TINY_VAE
from aquatint.runtime.tiling import Tiles, decode_in_tiles, encode_in_tiles

TILES = Tiles(pixels=64, latents=8)
# In latents: one tile wide; one more; square; oblong both ways; ends in slivers of 1 and 2; four rows of tiles.
SIZES = [(9, 8), (8, 9), (16, 16), (7, 20), (20, 7), (13, 14), (14, 13), (19, 25), (26, 12)]


@pytest.fixture(scope="module")
def vae():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # Networks this small lose more by waiting for a busy core than by one thread.
    torch.manual_seed(0)
    yield AutoencoderKL(**TINY_VAE).eval().requires_grad_(False)
    torch.set_num_threads(threads)


@pytest.fixture
def tiled(vae):
    vae.enable_tiling()
    yield vae
    vae.disable_tiling()


def decoder(vae, seen=None):
    def run(latents):
        if seen is not None:
            seen.append(latents.shape)
        return vae.decoder(vae.post_quant_conv(torch.from_numpy(latents))).numpy()

    return run


def encoder(vae):
    return lambda samples: vae.quant_conv(vae.encoder(torch.from_numpy(samples))).numpy()


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
def test_decoding_in_tiles_gives_what_diffusers_tiling_gives(tiled, size):
    latents = normal(2, 4, *size)
    found = decode_in_tiles(decoder(tiled), latents, TILES)
    wanted = tiled.decode(torch.from_numpy(latents)).sample.numpy()
    assert found.dtype == np.float32
    assert found.shape == wanted.shape == (2, 3, size[0] * 8, size[1] * 8)
    # The same operations in the same order; only torch's kernels may choose by memory layout.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_encoding_in_tiles_gives_what_diffusers_tiling_gives(tiled, size):
    samples = normal(2, 3, size[0] * 8, size[1] * 8)
    found = encode_in_tiles(encoder(tiled), samples, TILES)
    wanted = tiled.encode(torch.from_numpy(samples)).latent_dist.parameters.numpy()
    assert found.dtype == np.float32
    assert found.shape == wanted.shape == (2, 8, *size)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)  # as above


def test_tiling_changes_the_picture_so_that_the_comparison_says_something(vae):
    latents = normal(1, 4, 16, 16)
    whole = decoder(vae)(latents)
    assert np.abs(decode_in_tiles(decoder(vae), latents, TILES) - whole).max() > 1e-3


@pytest.mark.parametrize("size", [(8, 8), (5, 8), (1, 1)])
def test_what_fits_into_one_tile_is_run_whole(vae, size):
    latents, seen = normal(1, 4, *size), []
    assert np.array_equal(decode_in_tiles(decoder(vae, seen), latents, TILES), decoder(vae)(latents))
    assert seen == [latents.shape]
    samples = normal(1, 3, size[0] * 8, size[1] * 8)
    assert np.array_equal(encode_in_tiles(encoder(vae), samples, TILES), encoder(vae)(samples))


def test_no_tile_is_larger_than_said_and_those_at_the_end_are_smaller(vae):
    seen = []
    decode_in_tiles(decoder(vae, seen), normal(1, 4, 8, 13), TILES)
    # Tiles begin every 6 latents; the second row has the 2 latents left.
    assert seen == [(1, 4, height, width) for height in (8, 2) for width in (8, 7, 1)]


def test_an_engines_own_memory_is_not_written_to():
    def decode(latents):
        made = np.repeat(np.repeat(latents[:, :3], 8, axis=2), 8, axis=3)
        made.flags.writeable = False
        return made

    latents = np.broadcast_to(normal(1, 4, 1, 1), (1, 4, 20, 20))
    found = decode_in_tiles(decode, latents, TILES)
    # Equal tiles fade into each other without a trace; the two shares round.
    np.testing.assert_allclose(found, np.broadcast_to(latents[:, :3, :1, :1], found.shape), rtol=3e-7)


@pytest.mark.parametrize("pixels, latents", [(72, 9), (16, 2), (0, 0), (60, 8), (0, 8), (-64, -8)])
def test_tiles_whose_quarters_are_no_whole_latents_are_refused(pixels, latents):
    with pytest.raises(ValueError, match=f"a tile is {pixels} pixels and {latents} latents wide; .*multiple of 4"):
        Tiles(pixels, latents)
