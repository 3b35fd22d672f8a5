"""The border with numpy: dtypes by their file names, argument checks, flat views of arrays."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from qcodec.errors import InputError, UnsupportedError

# FORMAT.md, "Tensor table". Names are those of safetensors.
DTYPE_CODES = {
    "BOOL": 0, "U8": 1, "I8": 2, "U16": 3, "I16": 4, "U32": 5, "I32": 6, "U64": 7, "I64": 9,
    "F16": 10, "BF16": 11, "F32": 12, "F64": 13, "F8_E4M3": 14, "F8_E5M2": 15, "C64": 16,
}  # fmt: skip
DTYPE_NAMES = {code: name for name, code in DTYPE_CODES.items()}
LOSSY_DTYPES = frozenset({"F16", "BF16", "F32", "F64"})

_NUMPY_NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32",
    "I32": "int32", "U64": "uint64", "I64": "int64", "F16": "float16", "F32": "float32",
    "F64": "float64", "C64": "complex64",
}  # fmt: skip
_ML_DTYPES = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_NAMES_BY_NUMPY = {v: k for k, v in (_NUMPY_NAMES | _ML_DTYPES).items()}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Numpy dtype of a dtype name such as ``"F32"`` or ``"BF16"``."""
    if name in _ML_DTYPES:
        import ml_dtypes

        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, _ML_DTYPES[name]))
        return dtype
    return np.dtype(_NUMPY_NAMES[name])


def dtype_name(dtype: npt.DTypeLike) -> str:
    """Dtype name of a numpy dtype, by either name.

    Raises
    ------
    UnsupportedError
        No tensor of a file can have this dtype.
    """
    if isinstance(dtype, str) and dtype in DTYPE_CODES:
        return dtype
    if isinstance(dtype, str) and dtype in _NAMES_BY_NUMPY:
        return _NAMES_BY_NUMPY[dtype]
    try:
        name = _name_of(np.dtype(dtype))
    except TypeError:
        name = str(dtype)
    if name not in _NAMES_BY_NUMPY:
        known = ", ".join(sorted(_NAMES_BY_NUMPY))
        raise UnsupportedError(f"dtype {name} is not supported; supported are {known}")
    return _NAMES_BY_NUMPY[name]


@lru_cache(maxsize=64)
def _name_of(dtype: np.dtype[Any]) -> str:
    """Its name, which numpy puts together anew each time."""
    return dtype.name


def flat_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The array's elements in C order as native bytes, shape (nbytes,); copied only if needed."""
    native = array.dtype.newbyteorder("=") if array.dtype.byteorder == ">" else array.dtype
    return np.ascontiguousarray(array, dtype=native).reshape(-1).view(np.uint8)


def as_array(value: Any, what: str) -> npt.NDArray[Any]:
    """`value` as an array; objects that numpy would store as Python objects are refused."""
    array = np.asarray(value)
    if array.dtype == object:
        raise InputError(f"{what} is no array of numbers: {type(value).__name__}")
    return array


def check_int(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is no int in ``low..high``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be in {low}..{high}, got {value}")


def check_float(name: str, value: object, low: float, high: float) -> float:
    """`value` as a float, if it is a finite number in ``low..high``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be in {low}..{high}, got {value}")
    return float(value)


def check_step(step: object) -> float:
    """`step` as a float, if it is a positive normal float32."""
    if isinstance(step, bool) or not isinstance(step, int | float):
        raise TypeError(f"step must be a number, got {type(step).__name__}")
    info = np.finfo(np.float32)
    if not float(info.tiny) <= step <= float(info.max):
        raise ValueError(f"step must be a positive normal float32, got {step}")
    return float(step)


def varint(value: int) -> bytes:
    """FORMAT.md, "Conventions"."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
