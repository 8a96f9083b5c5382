"""What the demo's autoencoder does to its latents after training."""

import pytest


def test_levelled_latents_have_no_mean_and_one_deviation_and_decode_alike():
    torch = pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    from aquatint.demo.autoencoder import _level, build, draw_pictures, encode

    torch.manual_seed(0)
    vae = build().eval()
    pictures = draw_pictures(6, seed=1)
    before = encode(vae, pictures)
    with torch.no_grad():
        expected = vae.decode(before).sample
        _level(vae, before.mean(dim=(0, 2, 3)), before.std(dim=(0, 2, 3)))
        after = encode(vae, pictures)
        decoded = vae.decode(after).sample
    # float32 rounding through twenty layers.
    torch.testing.assert_close(after.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(
        after.std(dim=(0, 2, 3)), before.std(dim=(0, 2, 3)).mean().expand(4), atol=1e-4, rtol=1e-3
    )
    torch.testing.assert_close(decoded, expected, atol=1e-3, rtol=1e-3)
