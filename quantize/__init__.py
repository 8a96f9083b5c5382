"""Fewer bits: ONNX in, ONNX out; knows no target."""
