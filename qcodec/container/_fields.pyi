from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

MAGIC: bytes
END_MAGIC: bytes
MAJOR: int
MINOR: int
HEADER_BYTES: int
TRAILER_BYTES: int
CHUNK_ELEMENTS: int
ALIGNED_BYTES: int
ALIGNMENT: int
MAX_PART_BYTES: int
MAX_TENSORS: int
MAX_NAME_BYTES: int
MAX_RANK: int
MAX_ELEMENTS: int
MAX_CHUNK_BYTES: int
OWN: int
JOINS: int
CLOSES: int

U64 = npt.NDArray[np.uint64]
Hasher = Callable[[bytes, int], int]

def pack_header() -> bytes: ...
def check_header(header: bytes) -> int: ...
def pack_trailer(
    index_offset: int,
    json_length: int,
    table_length: int,
    tensors: int,
    index_hash: int,
    hasher: Hasher,
) -> bytes: ...
def parse_trailer(
    trailer: bytes, file_bytes: int, version: int, hasher: Hasher
) -> tuple[int, int, int, int, int]: ...
def next_offset(end: int, length: int) -> int: ...

class TableWriter:
    tensors: int
    def add(
        self,
        name: bytes,
        dtype: int,
        shape: Sequence[int],
        codec: int,
        kind: int,
        lengths: Iterable[int],
        hashes: Iterable[int],
    ) -> None: ...
    def add_chunk(self, length: int, digest: int) -> None: ...
    def getvalue(self) -> bytes: ...

def parse_table(
    data: bytes, tensors: int, codecs: int, minor: int, first_offset: int, end_offset: int
) -> tuple[
    list[tuple[str, int, tuple[int, ...], int, U64, U64, U64, int | None]],
    list[tuple[int, int, int]],
]: ...
