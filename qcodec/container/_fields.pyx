# cython: boundscheck=True, wraparound=False
"""The small binary fields of a .qc file: header, trailer, tensor table. FORMAT.md, "File".

Called once per tensor of a file, so in C: a varint costs nanoseconds here, not microseconds.
Parsers take untrusted bytes; positions in messages are bytes within the part that is parsed.
"""

import struct

import numpy as np

from qcodec.errors import CorruptError, LimitError, TruncatedError, UnsupportedError

from libc.stdint cimport uint8_t, uint64_t

MAGIC = bytes.fromhex("895143460d0a1a0a")
END_MAGIC = bytes.fromhex("514346454e440d0a")
MAJOR = 1
MINOR = 1
HEADER_BYTES = 16
TRAILER_BYTES = 48
CHUNK_ELEMENTS = 1 << 20
ALIGNED_BYTES = 65536
ALIGNMENT = 64
MAX_PART_BYTES = 1 << 28
MAX_TENSORS = 1 << 20
MAX_NAME_BYTES = 4096
MAX_ALL_NAMES_BYTES = 1 << 26
MAX_RANK = 32
MAX_ELEMENTS = 1 << 48
MAX_CHUNK_BYTES = 1 << 32
# FORMAT.md, "Tensor table": what the low bits of a tensor's place say.
OWN, JOINS, CLOSES = 0, 1, 2

cdef uint64_t C_CHUNK_ELEMENTS = CHUNK_ELEMENTS
cdef uint64_t C_MAX_ELEMENTS = MAX_ELEMENTS
cdef uint64_t C_MAX_CHUNK_BYTES = MAX_CHUNK_BYTES
cdef uint64_t C_ALIGNED_BYTES = ALIGNED_BYTES
cdef uint64_t C_ALIGNMENT = ALIGNMENT

_KNOWN = (
    (b"PK\x03\x04", "a zip archive (.npz or .pt?)"),
    (b"GGUF", "a GGUF model"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x28\xb5\x2f\xfd", "a zstd frame"),
)


def pack_header():
    """The 16 bytes that open a file."""
    return MAGIC + struct.pack("<HHI", MAJOR, MINOR, 0)


def check_header(bytes header):
    """Check magic, version and features of the first 16 bytes; returns the minor version."""
    if header[:8] != MAGIC:
        if MAGIC.startswith(header):
            raise TruncatedError("header ends early")
        for magic, what in _KNOWN:
            if header.startswith(magic):
                raise CorruptError(f"not a .qc file: it looks like {what}")
        if len(header) >= 9 and header[8:9] == b"{" and header[3:8] == bytes(5):
            raise CorruptError("not a .qc file: it looks like a safetensors file")
        raise CorruptError("not a .qc file: wrong magic at byte 0")
    if len(header) < HEADER_BYTES:
        raise TruncatedError("header ends early")
    major, minor, features = struct.unpack_from("<HHI", header, 8)
    if major != MAJOR or minor > MINOR:
        raise UnsupportedError(
            f"format version {major}.{minor}, but this reader knows {MAJOR}.0 to {MAJOR}.{MINOR}: "
            "a newer qcodec is needed"
        )
    if features:
        raise UnsupportedError(f"unknown feature flags {features:#x}: a newer qcodec is needed")
    return minor


def pack_trailer(uint64_t index_offset, json_length, table_length, tensors, index_hash, hasher):
    """The 48 bytes that close a file. `hasher(data, seed)` is XXH3-64."""
    head = struct.pack("<QIIIHHQ", index_offset, json_length, table_length, tensors, MAJOR, MINOR,
                       index_hash)
    return head + struct.pack("<Q", hasher(head, 0)) + END_MAGIC


def parse_trailer(bytes trailer, uint64_t file_bytes, version, hasher):
    """(index offset, JSON length, table length, tensors, index hash), all within the file."""
    if trailer[40:] != END_MAGIC:
        raise TruncatedError("the file does not end with a .qc trailer: cut off, or bytes added")
    head = trailer[:32]
    if struct.unpack_from("<Q", trailer, 32)[0] != hasher(head, 0):
        raise CorruptError("trailer: wrong hash")
    offset, json_length, table_length, tensors, major, minor, index_hash = struct.unpack(
        "<QIIIHHQ", head
    )
    if (major, minor) != (MAJOR, version):
        raise CorruptError("trailer: its version is not the header's")
    if json_length > MAX_PART_BYTES or table_length > MAX_PART_BYTES:
        raise LimitError(f"index of {json_length} + {table_length} bytes, limit {MAX_PART_BYTES} each")
    if tensors > MAX_TENSORS:
        raise LimitError(f"{tensors} tensors, limit {MAX_TENSORS}")
    if offset < HEADER_BYTES or offset + json_length + table_length + TRAILER_BYTES != file_bytes:
        raise CorruptError("trailer: index and trailer do not end the file exactly")
    return offset, json_length, table_length, tensors, index_hash


cpdef uint64_t next_offset(uint64_t end, uint64_t length):
    """Where a chunk of `length` bytes begins after one that ended at `end`."""
    if length >= C_ALIGNED_BYTES:
        return (end + C_ALIGNMENT - 1) // C_ALIGNMENT * C_ALIGNMENT
    return end


cdef bytes _varint(uint64_t v):
    out = bytearray()
    while v >= 0x80:
        out.append((v & 0x7F) | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


cdef class TableWriter:
    """Builds the tensor table entry by entry."""

    cdef bytearray _out
    cdef bytes _previous
    cdef readonly int tensors

    def __init__(self):
        self._out = bytearray()
        self._previous = b""
        self.tensors = 0

    def add(self, bytes name, int dtype, shape, uint64_t codec, int kind, lengths, hashes):
        """Append one tensor; `lengths` and `hashes` have an entry per chunk that ends with it."""
        cdef Py_ssize_t shared = 0
        cdef Py_ssize_t most = min(len(name), len(self._previous))
        while shared < most and name[shared] == self._previous[shared]:
            shared += 1
        self._out += _varint(shared)
        self._out += _varint(len(name) - shared)
        self._out += name[shared:]
        self._out.append(dtype)
        self._out.append(len(shape))
        for dim in shape:
            self._out += _varint(dim)
        self._out += _varint(codec * 4 + kind)
        for length, digest in zip(lengths, hashes, strict=True):
            self.add_chunk(length, digest)
        self._previous = name
        self.tensors += 1

    def add_chunk(self, uint64_t length, digest):
        """Append the record of a chunk that was still open at the end."""
        self._out += _varint(length)
        self._out += (<object>digest).to_bytes(8, "little")

    def getvalue(self):
        """The table so far."""
        return bytes(self._out)


cdef class _Reader:
    cdef const uint8_t[::1] data
    cdef Py_ssize_t at

    def __init__(self, data):
        self.data = data
        self.at = 0

    cdef uint64_t byte(self) except? 255:
        if self.at >= self.data.shape[0]:
            raise TruncatedError(f"tensor table: ends early at byte {self.at}")
        self.at += 1
        return self.data[self.at - 1]

    cdef uint64_t varint(self) except? 0xFFFFFFFF:
        cdef uint64_t v = 0
        cdef uint64_t b
        cdef int k
        for k in range(9):
            b = self.byte()
            v |= (b & 0x7F) << (7 * k)
            if b < 0x80:
                if b == 0 and k > 0:
                    break
                return v
        raise CorruptError(f"tensor table: bad varint before byte {self.at}")

    cdef bytes take(self, uint64_t n):
        if n > <uint64_t>(self.data.shape[0] - self.at):
            raise TruncatedError(f"tensor table: ends early at byte {self.at}")
        self.at += n
        return bytes(self.data[self.at - n : self.at])


cdef class _Chunks:
    """Where chunks lie: each begins where the one before it ended, or at the next alignment."""

    cdef _Reader r
    cdef uint64_t end
    cdef uint64_t limit

    def __init__(self, reader, first, limit):
        self.r = reader
        self.end = first
        self.limit = limit

    cdef (uint64_t, uint64_t) place(self, what) except *:
        """Offset and length of the next chunk."""
        cdef uint64_t length = self.r.varint()
        if length < 1 or length > C_MAX_CHUNK_BYTES:
            raise CorruptError(f"{what} of {length} bytes")
        cdef uint64_t start = next_offset(self.end, length)
        if start > self.limit or length > self.limit - start:
            raise CorruptError(f"{what} reaches into the index")
        self.end = start + length
        return start, length

    cdef uint64_t digest(self):
        return int.from_bytes(self.r.take(8), "little")


def parse_table(data, tensors, codecs, minor, uint64_t first_offset, uint64_t end_offset):
    """Entries of a tensor table, checked.

    Returns
    -------
    rows : list of tuple
        (name, dtype code, shape, codec number, offsets, lengths, hashes, shared); offsets, lengths and
        hashes are uint64 arrays with an entry per chunk. `shared` is the number of the shared chunk
        that the tensor lies in, or None.
    shared : list of tuple
        (offset, length, hash) of each shared chunk.
    """
    cdef _Reader r = _Reader(data)
    cdef _Chunks places = _Chunks(r, first_offset, end_offset)
    cdef uint64_t length, start, shared, suffix, count, n, dim, chunks, k, kind
    cdef uint64_t[::1] o, s, h
    entries = []
    open_chunks = {}
    closed = []
    previous = b""
    seen = set()
    all_names = 0
    for number in range(tensors):
        shared = r.varint()
        suffix = r.varint()
        if shared > <uint64_t>len(previous):
            raise CorruptError(f"tensor table: name {number} shares more than there is")
        if suffix > <uint64_t>MAX_NAME_BYTES or shared + suffix > <uint64_t>MAX_NAME_BYTES:
            raise LimitError(f"tensor {number}: name longer than {MAX_NAME_BYTES} bytes")
        raw = previous[:shared] + r.take(suffix)
        all_names += len(raw)
        if all_names > MAX_ALL_NAMES_BYTES:
            raise LimitError(f"names of more than {MAX_ALL_NAMES_BYTES} bytes together")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise CorruptError(f"tensor table: name {number} is not UTF-8") from None
        if name in seen:
            raise CorruptError(f"tensor table: two tensors are called {name!r}")
        seen.add(name)
        previous = raw
        dtype = r.byte()
        count = r.byte()
        if count > <uint64_t>MAX_RANK:
            raise LimitError(f"tensor {name!r}: rank {count}, limit {MAX_RANK}")
        shape = []
        n = 1
        empty = False
        for k in range(count):
            dim = r.varint()
            if dim == 0:
                empty = True
            elif dim > C_MAX_ELEMENTS or n > C_MAX_ELEMENTS // dim:
                raise LimitError(f"tensor {name!r}: more than 2^48 elements")
            else:
                n *= dim
            shape.append(dim)
        if empty:
            n = 0
        codec = r.varint()
        kind = OWN
        if minor >= 1:
            codec, kind = codec // 4, codec % 4
            if kind > <uint64_t>CLOSES:
                raise CorruptError(f"tensor {name!r}: unknown kind of place")
        if codec >= codecs:
            raise CorruptError(f"tensor {name!r}: codec {codec} of {codecs}")
        if kind != OWN:
            lengths = np.empty(0, np.uint64)
            key = (codec, dtype)
            if key not in open_chunks:
                open_chunks[key] = [len(closed), 0]
                closed.append(None)
            which = open_chunks[key]
            which[1] += n
            if n == 0 or which[1] > CHUNK_ELEMENTS:
                raise CorruptError(f"tensor {name!r}: {n} elements do not fit its shared chunk")
            entries.append((name, dtype, tuple(shape), codec, lengths, lengths, lengths, which[0]))
            if kind == CLOSES:
                del open_chunks[key]
                start, length = places.place(f"tensor {name!r}: shared chunk")
                closed[which[0]] = (start, length, places.digest())
            continue
        chunks = n // C_CHUNK_ELEMENTS + (n % C_CHUNK_ELEMENTS != 0)
        if chunks * 9 > <uint64_t>(r.data.shape[0] - r.at):
            raise TruncatedError(f"tensor {name!r}: the table ends before its {chunks} chunks")
        offsets = np.empty(chunks, np.uint64)
        lengths = np.empty(chunks, np.uint64)
        hashes = np.empty(chunks, np.uint64)
        o, s, h = offsets, lengths, hashes
        for k in range(chunks):
            start, length = places.place(f"tensor {name!r}: chunk {k}")
            o[k] = start
            s[k] = length
            h[k] = places.digest()
        entries.append((name, dtype, tuple(shape), codec, offsets, lengths, hashes, None))
    for which in open_chunks.values():
        start, length = places.place(f"shared chunk {which[0]}")
        closed[which[0]] = (start, length, places.digest())
    if r.at != r.data.shape[0]:
        raise CorruptError(f"tensor table: bytes after the last tensor, at {r.at}")
    if places.end != end_offset:
        raise CorruptError(f"the chunks end at byte {places.end}, the index begins at {end_offset}")
    return entries, closed
