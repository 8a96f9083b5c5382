"""Networks that run in a device's own memory, and the loop that keeps the latents there."""
