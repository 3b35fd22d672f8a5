"""3LC: gradients in a fraction of a bit per value. Kernels: ``csrc/traffic/``; law: ``WIRE.md``."""

import threading
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from qcodec import _core
from qcodec._arrays import DTYPE_CODES, as_array, check_float, check_int, flat_bytes, numpy_dtype
from qcodec.errors import CorruptError, InputError, LimitError, TruncatedError

_DTYPES = {"float32": "F32", "bfloat16": "BF16"}
_MAX_RANK = 32
_MAX_ELEMENTS = 2**48
_ERRORS = {1: InputError, 2: TruncatedError, 3: CorruptError, 5: LimitError}
_STATE_KEYS = {"version", "shape", "dtype", "sparsity", "residual"}


class ThreeLC:
    """Sender's context of one tensor in one direction: 3LC with error feedback.

    Each call of `encode` adds the gradient to what earlier messages left out, sends -M, 0 or M
    for each element, and keeps the rest. `decode` needs no context.

    Parameters
    ----------
    shape : int or sequence of int
        Shape of the tensor; an int is the length of a flat one.
    sparsity : float, default 1.75
        1 <= sparsity < 2. More sends fewer values at a time, in fewer bytes.
    dtype : {"float32", "bfloat16"}, default "float32"
        Of the gradients. The residual is float32 in both cases.

    Attributes
    ----------
    residual : ndarray of float32
        A copy of what has not been sent yet. No element is larger than half of the last M but for
        rounding, so with gradients below g it stays below about g * sparsity / (2 - sparsity).

    Raises
    ------
    TypeError, ValueError
        An argument is out of range.
    LimitError
        The residual does not fit into memory, or the shape is beyond the limits of a message.

    Notes
    -----
    Messages and residuals are equal bit by bit on every machine. Messages carry no checksum: a
    damaged one is refused or decodes to other values, but never harms. Threads that share a context
    take turns.

    References
    ----------
    .. [1] H. Lim, D. G. Andersen, M. Kaminsky, "3LC: Lightweight and Effective Traffic Compression
       for Distributed Machine Learning", MLSys 2019, arXiv:1802.07389.

    Examples
    --------
    >>> import numpy as np
    >>> context = ThreeLC(5)
    >>> message = context.encode(np.array([1, -0.5, 0.25, -1, 0], np.float32))
    >>> message.hex()
    '01050000e03fc7'
    >>> ThreeLC.decode(message)
    array([ 1.75,  0.  ,  0.  , -1.75,  0.  ], dtype=float32)
    >>> context.residual
    array([-0.75, -0.5 ,  0.25,  0.75,  0.  ], dtype=float32)
    """

    def __init__(
        self,
        shape: int | tuple[int, ...] | list[int],
        sparsity: float = 1.75,
        dtype: str = "float32",
    ) -> None:
        if dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
        self._dtype = dtype
        self._shape = _check_shape(shape)
        self._sparsity = _check_sparsity(sparsity)
        self._lock = threading.Lock()
        try:
            self._residual = np.zeros(self._shape, np.float32)
        except (MemoryError, ValueError):
            what = f"a residual of shape {self._shape}"
            raise LimitError(f"{what} does not fit into memory") from None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self._shape

    @property
    def sparsity(self) -> float:
        """Multiplier of the largest magnitude, as the nearest float32."""
        return self._sparsity

    @property
    def dtype(self) -> str:
        """Dtype of the gradients."""
        return self._dtype

    @property
    def residual(self) -> npt.NDArray[np.float32]:
        """A copy of what has not been sent yet."""
        with self._lock:
            return self._residual.copy()

    def __repr__(self) -> str:
        return f"ThreeLC({self._shape}, sparsity={self._sparsity}, dtype={self._dtype!r})"

    def encode(self, gradient: npt.ArrayLike, out: Any = None) -> bytes | memoryview:
        """The message for one gradient; the context keeps what it leaves out.

        Parameters
        ----------
        gradient : array_like
            Of the context's shape and dtype.
        out : writable bytes-like, optional
            Where the message goes. `max_bytes` are always enough.

        Returns
        -------
        bytes or memoryview
            The message; with `out`, the part of it that was written.

        Raises
        ------
        InputError
            Another shape or dtype, or gradient + residual is not finite, or `out` has fewer than
            `max_bytes`. The context is unchanged.
        """
        array = as_array(gradient, "gradient")
        code = _DTYPES[self._dtype]
        if array.dtype.newbyteorder("=") != numpy_dtype(code):
            raise InputError(f"gradient is {array.dtype}, the context {self._dtype}")
        if array.shape != self._shape:
            raise InputError(f"gradient has shape {array.shape}, the context {self._shape}")
        target = None if out is None else _target(out, self.max_bytes)
        try:
            with self._lock:
                made = _core.three_lc_encode(
                    self._shape,
                    flat_bytes(array),
                    DTYPE_CODES[code],
                    self._sparsity,
                    self._residual.reshape(-1),
                    None if target is None else np.frombuffer(target, np.uint8),
                )
        except _core.KernelError as failure:
            code_, at, reason, _ = failure.args
            place = ", ".join(str(k) for k in np.unravel_index(at, self._shape))
            raise _ERRORS[code_](f"element [{place}]: {reason}") from None
        if target is None or isinstance(made, bytes):
            return cast(bytes, made)
        return target[:made]

    @property
    def max_bytes(self) -> int:
        """Length that no message of this context exceeds."""
        dims = sum(max(1, -(-d.bit_length() // 7)) for d in self._shape)
        return 1 + dims + 4 + -(-self._residual.size // 5)

    @staticmethod
    def shape_of(data: Any) -> tuple[int, ...]:
        """Shape of a message's tensor; its header and length are checked, its digits are not.

        Raises
        ------
        CorruptError, TruncatedError, LimitError
            As for `decode`.
        """
        return _header(_message(data))

    @staticmethod
    def decode(
        data: Any,
        out: npt.NDArray[Any] | None = None,
        *,
        dtype: str = "float32",
        max_decoded_bytes: int | None = None,
    ) -> npt.NDArray[Any]:
        """The values of a message, each -M, 0 or M.

        Parameters
        ----------
        data : bytes-like
            One message, from any source: all of it is checked.
        out : ndarray, optional
            Of the message's shape, float32 or bfloat16; its dtype goes before `dtype`.
        dtype : {"float32", "bfloat16"}, default "float32"
            Of a new array.
        max_decoded_bytes : int, optional
            Refuse what takes more. In any case a message of k bytes takes at most 280 k.

        Returns
        -------
        ndarray
            `out`, or a new array.

        Raises
        ------
        CorruptError, TruncatedError
            No sender sends such bytes; or the message's shape is not that of `out`. What `out` then
            holds is unspecified.
        LimitError
            Beyond the limits of a message, or `max_decoded_bytes`.
        InputError
            `out` has another dtype, or cannot be written.
        """
        message = _message(data)
        shape = _header(message)
        names = {numpy_dtype(code): name for name, code in _DTYPES.items()}
        if out is not None:
            if out.dtype not in names or not out.flags.writeable:
                what = f"out is {'' if out.flags.writeable else 'read-only '}{out.dtype}"
                raise InputError(f"{what}, and must be writable float32 or bfloat16")
            if out.shape != shape:
                raise CorruptError(f"the message has shape {shape}, out {out.shape}")
            dtype = names[out.dtype]
        elif dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
        code = _DTYPES[dtype]
        item = numpy_dtype(code).itemsize
        size = item
        for dim in shape:
            size *= dim
        if max_decoded_bytes is not None and size > max_decoded_bytes:
            raise LimitError(f"the message decodes to {size} bytes, over {max_decoded_bytes}")
        direct = out if out is not None and out.flags.c_contiguous else None
        if direct is None:
            try:
                direct = np.empty(shape, numpy_dtype(code))
            except (MemoryError, ValueError):
                raise LimitError(f"values of shape {shape} do not fit into memory") from None
        try:
            _core.three_lc_decode(message, direct.reshape(-1).view(np.uint8), DTYPE_CODES[code])
        except _core.KernelError as failure:
            raise _refusal(failure) from None
        if out is None or out is direct:
            return direct
        out[...] = direct
        return out

    def state_dict(self) -> dict[str, Any]:
        """Everything that later messages depend on; the residual is a copy."""
        return {
            "version": 1,
            "shape": list(self._shape),
            "dtype": self._dtype,
            "sparsity": self._sparsity,
            "residual": self.residual,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; sparsity comes from there too.

        Raises
        ------
        InputError
            Another version, shape or dtype, a residual that is not finite, missing or foreign
            keys. The context is unchanged.
        """
        if set(state) != _STATE_KEYS:
            raise InputError(f"the state has keys {sorted(state)}, not {sorted(_STATE_KEYS)}")
        if state["version"] != 1:
            raise InputError(f"the state is of version {state['version']}, not 1")
        if tuple(state["shape"]) != self._shape or state["dtype"] != self._dtype:
            raise InputError(
                f"the state is of shape {tuple(state['shape'])} and {state['dtype']}, "
                f"the context of {self._shape} and {self._dtype}"
            )
        residual = as_array(state["residual"], "residual")
        if residual.dtype != np.float32 or residual.shape != self._shape:
            raise InputError(f"residual is {residual.dtype} of shape {residual.shape}")
        if not np.isfinite(residual).all():
            raise InputError("residual is not finite")
        try:
            sparsity = _check_sparsity(state["sparsity"])
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from None
        with self._lock:
            self._sparsity = sparsity
            self._residual[...] = residual


def _check_shape(shape: object) -> tuple[int, ...]:
    dims = (shape,) if isinstance(shape, int) else shape
    if not isinstance(dims, tuple | list):
        raise TypeError(f"shape must be an int or a tuple of ints, got {type(shape).__name__}")
    for dim in dims:
        check_int("a dim of shape", dim, 0, _MAX_ELEMENTS)
    product = 1
    for dim in dims:
        product *= max(dim, 1)
    if len(dims) > _MAX_RANK or product > _MAX_ELEMENTS:
        raise LimitError(f"shape {tuple(dims)} is beyond {_MAX_RANK} dims or 2^48 elements")
    return tuple(dims)


def _check_sparsity(sparsity: object) -> float:
    nearest = float(np.float32(check_float("sparsity", sparsity, 1.0, 2.0)))
    if nearest >= 2.0:
        raise ValueError(f"sparsity must be less than 2, got {sparsity}")
    return nearest


def _target(out: Any, needed: int) -> memoryview:
    view = memoryview(out)
    if view.readonly or not view.c_contiguous:
        raise InputError("out must be writable and contiguous")
    view = view.cast("B")
    if len(view) < needed:
        raise InputError(f"out has {len(view)} bytes, and a message may take {needed}")
    return view


def _message(data: Any) -> npt.NDArray[np.uint8]:
    view = memoryview(data)
    if not view.c_contiguous:
        raise InputError("data must be contiguous")
    return np.frombuffer(view.cast("B"), np.uint8)


def _header(message: npt.NDArray[np.uint8]) -> tuple[int, ...]:
    try:
        shape, _ = _core.three_lc_header(message)
    except _core.KernelError as failure:
        raise _refusal(failure) from None
    return shape


def _refusal(failure: _core.KernelError) -> Exception:
    code, at, reason, _ = failure.args
    return _ERRORS[code](f"3LC message, byte {at}: {reason}")
