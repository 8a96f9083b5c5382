"""Rewrites of the ONNX graph, one per file; each is idempotent and returns how many places it changed."""
