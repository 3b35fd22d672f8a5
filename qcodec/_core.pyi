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
    ) -> None: ...
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

def stream_encode(coder: int, symbols: U8, bits: int) -> bytes | None: ...
def stream_decode(coder: int, payload: U8, count: int, bits: int) -> U8: ...
def pack(symbols: U8, bits: int) -> U8: ...
def unpack(packed: U8, bits: int, n: int) -> U8: ...
def convert(data: U8, from_dtype: int, to_dtype: int) -> U8: ...
def xxh3_64(data: Any, seed: int) -> int: ...
def isa() -> str: ...
def best_isa() -> str: ...
def set_isa(name: str) -> None: ...
def quantizers() -> dict[str, int]: ...
def coders() -> dict[str, int]: ...
def build_info() -> dict[str, Any]: ...
