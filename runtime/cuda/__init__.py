"""NVIDIA's GPUs by cuda-bindings: memory, one stream, recorded work."""
