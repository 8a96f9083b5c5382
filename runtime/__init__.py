"""From a bundle to images; imports nothing else of ours, and no torch."""
