"""One file per backend: an artifact, opened."""
