"""What the bindings do not tell of TensorRT: what a call gives, which names do harm, what our variables are called."""

# What is named so in these files is a TensorRT object, so its class must be known.
NAMES = frozenset(
    {"builder", "network", "config", "parser", "engine", "context", "profile", "runtime", "refitter", "inspector"}
    | {"monitor", "logger", "timing_cache"}
)
# What a method or property gives: a class of the table, `list of` one, or a type of Python's own.
RETURNS = {
    "Builder.create_network": "INetworkDefinition",
    "Builder.create_builder_config": "IBuilderConfig",
    "Builder.create_optimization_profile": "IOptimizationProfile",
    "Builder.build_serialized_network": "IHostMemory",
    "Builder.build_engine_with_config": "ICudaEngine",
    "Builder.build_serialized_network_to_stream": "bool",
    "IBuilderConfig.create_timing_cache": "ITimingCache",
    "IBuilderConfig.get_timing_cache": "ITimingCache",
    "IBuilderConfig.progress_monitor": "IProgressMonitor",
    "ITimingCache.serialize": "IHostMemory",
    "INetworkDefinition.get_input": "ITensor",
    "INetworkDefinition.get_output": "ITensor",
    "INetworkDefinition.get_layer": "ILayer",
    "ILayer.get_input": "ITensor",
    "ILayer.get_output": "ITensor",
    "ILayer.name": "str",
    "ILayer.type": "LayerType",
    "ITensor.name": "str",
    "ITensor.dtype": "DataType",
    "ITensor.shape": "Dims",
    "OnnxParser.get_error": "ParserError",
    "OnnxParserRefitter.get_error": "ParserError",
    "ParserError.code": "ErrorCode",
    "ParserError.desc": "str",
    "ParserError.file": "str",
    "ParserError.func": "str",
    "ParserError.node_name": "str",
    "ParserError.node_operator": "str",
    "Runtime.deserialize_cuda_engine": "ICudaEngine",
    "ICudaEngine.create_execution_context": "IExecutionContext",
    "ICudaEngine.create_engine_inspector": "EngineInspector",
    "ICudaEngine.create_runtime_config": "IRuntimeConfig",
    "ICudaEngine.create_serialization_config": "ISerializationConfig",
    "ICudaEngine.serialize": "IHostMemory",
    "ICudaEngine.serialize_with_config": "IHostMemory",
    "ICudaEngine.get_tensor_name": "str",
    "ICudaEngine.get_tensor_mode": "TensorIOMode",
    "ICudaEngine.get_tensor_dtype": "DataType",
    "ICudaEngine.get_tensor_location": "TensorLocation",
    "ICudaEngine.get_tensor_shape": "Dims",
    "ICudaEngine.get_tensor_profile_shape": "list of Dims",
    "ICudaEngine.hardware_compatibility_level": "HardwareCompatibilityLevel",
    "ICudaEngine.name": "str",
    "IExecutionContext.engine": "ICudaEngine",
    "IExecutionContext.get_tensor_shape": "Dims",
    "IExecutionContext.get_tensor_strides": "Dims",
    "IExecutionContext.infer_shapes": "list of str",
    "EngineInspector.get_engine_information": "str",
    "EngineInspector.get_layer_information": "str",
    "Refitter.get_all_weights": "list of str",
    "Refitter.get_missing_weights": "list of str",
    "Refitter.get_weights_prototype": "Weights",
    "Refitter.get_named_weights": "Weights",
    "DataType.name": "str",
}
# Names that exist and do harm: what to use instead.
TRAPS = {
    "IExecutionContext.device_memory": "it leaves out the scratch memory of streamed weights: set_device_memory",
    "ICudaEngine.get_weight_streaming_automatic_budget": "the binding cuts it to 32 bits: work it out from "
    "streamable_weights_size",
    "ICudaEngine.get_device_memory_size_for_profile_v2": "up to 10.11 it leaves out the scratch memory of streamed "
    "weights: device_memory_size_v2",
}
# The binding has the names of its arguments in the wrong order.
BY_POSITION = frozenset({"ICudaEngine.get_tensor_profile_values"})
