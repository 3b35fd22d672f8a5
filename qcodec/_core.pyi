from typing import Any

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]

class KernelError(Exception): ...

class Job:
    def __init__(
        self,
        *,
        quantizer: int,
        coder: int,
        dtype: int,
        n: int,
        inner: int = 1,
        dim: int = 1,
        bits: int = 0,
        symmetric: bool = True,
        step: float = 0.0,
        seed: int = 0,
        lattice: int = 0,
        dither: bool = False,
        block: int = 0,
        columns: int = 0,
        profile: bool = False,
        channels: int = 1,
        positions: int = 1,
        most_entries: int = 256,
    ) -> None: ...
    @property
    def ordered(self) -> bool: ...
    @property
    def dtype(self) -> int: ...
    @property
    def inner(self) -> int: ...
    @property
    def profile(self) -> bool: ...
    @property
    def channels(self) -> int: ...
    @property
    def positions(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def step(self) -> float: ...
    @property
    def block(self) -> int: ...
    def symbols(
        self,
        data: U8,
        scales: npt.NDArray[np.float32],
        zero_points: npt.NDArray[np.int32],
        first: int,
    ) -> tuple[bytes, list[U8], list[int]]: ...
    def elements(self, first: int, count: int) -> npt.NDArray[np.int64]: ...
    def coefficients(
        self, values: npt.NDArray[np.float32], first: int
    ) -> npt.NDArray[np.float32]: ...
    def classes(self, first: int, count: int, codes: U8) -> U8: ...
    def fit(self, data: U8) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]: ...
    def forward(
        self, data: U8, scales: npt.NDArray[np.float32], zero_points: npt.NDArray[np.int32]
    ) -> U8: ...
    def decode(
        self,
        source: int | U8,
        offsets: U64,
        lengths: U64,
        hashes: U64,
        key: int,
        begin: int,
        end: int,
        verify: bool,
        out: U8,
        out_dtype: int,
        threads: int,
    ) -> None: ...

class Encoder:
    def __init__(self) -> None: ...
    def encode(
        self,
        job: Job,
        data: U8,
        scales: npt.NDArray[np.float32],
        zero_points: npt.NDArray[np.int32],
        first: int,
        count: int,
        threads: int,
    ) -> list[memoryview]: ...

def decode_together(
    jobs: list[Job],
    source: int | U8,
    offset: int,
    length: int,
    hash: int,
    seed: int,
    verify: bool,
    outs: list[U8 | None],
    out_dtypes: list[int],
) -> None: ...
def stream(
    coder: int, symbols: U8, bits: int, patient: bool, memory: int = 0, lanes: int = 0
) -> bytes: ...
def walk_trellis(
    values: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    memory: int,
    scale: float,
    rdo: float,
    patient: bool,
) -> tuple[U8, int, int, npt.NDArray[np.int8]]: ...
def lattice_dither(lattice: int, seed: int, first: int, n: int) -> npt.NDArray[np.float32]: ...
def bloomier_encode(symbols: U8, bits: int, word_bits: int, seed: int) -> bytes | None: ...
def bloomier_rates(
    jobs: list[Job], firsts: list[int], counts: list[int], chunk: U8
) -> list[tuple[int, float, int]]: ...
def scale_grid() -> npt.NDArray[np.float32]: ...
def dither(seed: int, first: int, n: int) -> npt.NDArray[np.float32]: ...
def read_stream(coder: int, bytes: U8, count: int, bits: int) -> tuple[U8, int]: ...
def stream_encode(coder: int, symbols: U8, bits: int) -> bytes | None: ...
def stream_decode(coder: int, payload: U8, count: int, bits: int) -> U8: ...
def pack(symbols: U8, bits: int) -> U8: ...
def unpack(packed: U8, bits: int, n: int) -> U8: ...
def convert(data: U8, from_dtype: int, to_dtype: int) -> U8: ...
def three_lc_encode(
    dims: tuple[int, ...],
    gradient: U8,
    dtype: int,
    sparsity: float,
    residual: npt.NDArray[np.float32],
    out: U8 | None,
) -> bytes | int: ...
def three_lc_header(bytes: U8) -> tuple[tuple[int, ...], float]: ...
def three_lc_decode(bytes: U8, out: U8, dtype: int) -> None: ...
def xxh3_64(data: Any, seed: int) -> int: ...
def isa() -> str: ...
def best_isa() -> str: ...
def set_isa(name: str) -> None: ...
def quantizers() -> dict[str, int]: ...
def coders() -> dict[str, int]: ...
def build_info() -> dict[str, Any]: ...
