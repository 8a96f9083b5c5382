"""TensorRT, from ONNX to a running engine: what targets/tensorrt.py and runtime/sessions/tensorrt.py share."""
