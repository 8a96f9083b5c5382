"""One file per family: text in, image out."""
