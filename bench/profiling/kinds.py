"""Kinds of operators, called alike for all engines."""

from __future__ import annotations

_KINDS = {
    "convolution": "Convolution GroupConvolution Conv FusedConv NhwcFusedConv ConvInteger QLinearConv Deconvolution "
    "ConvTranspose",
    "matmul": "FullyConnected FullyConnectedCompressed FullyConnectedQuantized FullyConnectedQuantizedLegacy "
    "MatMul Gemm FusedMatMul FusedGemm MatMulNBits MatMulBnb4 MatMulInteger MatMulIntegerToFloat "
    "DynamicQuantizeMatMul QLinearMatMul QGemm QKVProjection LLMMLP",
    "attention": "ScaledDotProductAttention ScaledDotProductAttentionWithKVCache Attention MultiHeadAttention MHA "
    "QAttention",
    "softmax": "Softmax",
    "norm": "MVN NormalizeL2 RMS RMSNorm GroupNormalization GroupNorm LayerNormalization SkipLayerNormalization "
    "SimplifiedLayerNormalization InstanceNormalization ReduceMean",
    # Also what an engine makes of several at once.
    "elementwise": "Subgraph Eltwise Math Add Subtract Sub Multiply Mul Divide Div Power Pow Sqrt Sigmoid Swish "
    "SwishCPU QuickGelu Gelu BiasGelu FastGelu Erf Tanh Exp Sin Cos Relu Clip Clamp Select Where IsNaN FusedActivation",
    "reorder": "Reorder ReorderInput ReorderOutput",
    "transpose": "Transpose",
    "conversion": "Convert Cast",
    "quantization": "FakeQuantize QuantizeLinear DequantizeLinear DynamicQuantizeLinear",
    "join and split": "Concat Concatenation Split VariadicSplit Slice StridedSlice",
    "resize": "Interpolate Resize Upsample",
    "lookup": "Gather GatherCompressed Embedding",
    "shape": "Shape ShapeOf Reshape Squeeze Unsqueeze Broadcast Expand Tile Identity Flatten",
}
KINDS = {name: kind for kind, names in _KINDS.items() for name in names.split()}
# What an engine may compute an attention with; there it counts as attention.
IN_ATTENTION = {"matmul", "softmax", "elementwise"}
PRECISIONS = {
    "f32": "fp32", "float": "fp32", "f16": "fp16", "float16": "fp16", "bfloat16": "bf16",
    "i8": "int8", "u8": "int8", "uint8": "int8", "i4": "int4", "u4": "int4", "uint4": "int4",
    "i32": "int32", "i64": "int64", "boolean": "bool", "undefined": None,
}  # fmt: skip


def kind_of(word: str) -> str:
    """An engine's word for an operator, in ours; one that is not known here stays as it is."""
    return KINDS.get(word, word)


def precision_of(word: str | None) -> str | None:
    """An engine's word for a type of numbers, in ours."""
    return PRECISIONS.get(word, word) if word is not None else None
