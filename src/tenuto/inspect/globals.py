"""The classes and functions that a pickle may name without being able to do harm: what tensors, arrays and plain values are made of.

A list of what is allowed, never of what is not: whatever can run code has more names than anyone can list.
"""

_STORAGES = {
    "DoubleStorage": ("F64", 8),
    "FloatStorage": ("F32", 4),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
    "ComplexFloatStorage": ("C64", 8),
    "ComplexDoubleStorage": ("C128", 16),
    "QInt8Storage": ("QI8", 1),
    "QUInt8Storage": ("QU8", 1),
    "QInt32Storage": ("QI32", 4),
    "UntypedStorage": ("bytes", 1),
}
_TORCH_TYPES = """
    bfloat16 bool cfloat cdouble complex32 complex64 complex128 double float float16 float32 float64 float8_e4m3fn
    float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz half int int8 int16 int32 int64 long qint8 qint32 quint8 short uint8 uint16
    uint32 uint64 per_tensor_affine per_channel_affine Size device Tensor
"""
_REBUILDERS = """
    _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state
    _rebuild_qtensor _rebuild_sparse_tensor _rebuild_meta_tensor_no_storage _rebuild_nested_tensor
"""
_BUILTINS = "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"
_SCALAR_TYPES = """
    bool_ float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 complex64 complex128 str_ bytes_
"""

STORAGES = {(module, name): kind for module in ("torch", "torch.storage") for name, kind in _STORAGES.items()}
REBUILDERS = frozenset(("torch._utils", name) for name in _REBUILDERS.split())
PARAMETERS = frozenset(("torch._utils", name) for name in ("_rebuild_parameter", "_rebuild_parameter_with_state"))

HARMLESS = frozenset(
    {
        *STORAGES,
        *REBUILDERS,
        *(("torch", name) for name in _TORCH_TYPES.split()),
        *((module, name) for module in ("builtins", "__builtin__") for name in _BUILTINS.split()),
        *((f"numpy{core}.multiarray", name) for core in (".core", "._core") for name in ("_reconstruct", "scalar")),
        *(("numpy", name) for name in ("dtype", "ndarray", *_SCALAR_TYPES.split())),
        *(
            ("numpy.dtypes", f"{kind}DType")
            for kind in ("Float16", "Float32", "Float64", "Int32", "Int64", "UInt8", "Bool")
        ),
        ("collections", "OrderedDict"),
        ("collections", "Counter"),
        ("torch.nn.parameter", "Parameter"),
        ("torch.serialization", "_get_layout"),
        ("torch.storage", "TypedStorage"),
        ("_codecs", "encode"),
    }
)
