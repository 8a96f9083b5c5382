"""Quantized forms of standard ONNX, rewritten to what one engine runs best; one rewrite per file."""
