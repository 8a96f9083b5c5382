"""One file per model family: how a checkpoint falls into components."""
