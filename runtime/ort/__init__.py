"""ONNX Runtime on devices with memory of their own."""
