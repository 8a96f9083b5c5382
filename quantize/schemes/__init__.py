"""One file per quantization scheme."""
