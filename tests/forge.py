"""Takes a .qc file apart and puts it together again with other contents and correct hashes.

For tests: a forged file passes every checksum, so that what is wrong with it reaches the parser
that must find it. Written from FORMAT.md; shares nothing with the engine's writer.
"""

import copy
import json
import struct
from dataclasses import dataclass, field

import reference
import xxhash

HEADER = bytes.fromhex("895143460d0a1a0a") + struct.pack("<HHI", 1, 0, 0)
END_MAGIC = bytes.fromhex("514346454e440d0a")


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@dataclass
class Row:
    """A tensor: its fields in the table, and its chunks."""

    name: bytes
    dtype: int
    shape: list
    codec: int
    chunks: list = field(default_factory=list)


@dataclass
class Parts:
    """A whole file. `table` replaces the table made from `rows` where it is given."""

    json: bytes
    rows: list
    table: bytes | None = None
    n_tensors: int | None = None
    header: bytes = HEADER

    def copy(self):
        return copy.deepcopy(self)


def take_apart(data):
    file = reference.open_file(data)
    start, json_bytes = struct.unpack("<QI", data[-48:-36])
    codes = {name: code for code, (name, _, _) in reference.DTYPES.items()}
    rows = [
        Row(
            name.encode(),
            codes[tensor.dtype],
            list(tensor.shape),
            tensor.codec,
            [data[at : at + length] for at, length, _ in tensor.chunks],
        )
        for name, tensor in file.tensors.items()
    ]
    return Parts(data[start : start + json_bytes], rows)


def codec_keys(raw):
    try:
        return [
            xxhash.xxh3_64_intdigest(reference.compact(c), 0) for c in json.loads(raw)["codecs"]
        ]
    except (ValueError, TypeError, LookupError, RecursionError):
        return []


def build_table(parts):
    out = bytearray()
    keys = codec_keys(parts.json)
    previous = b""
    for number, row in enumerate(parts.rows):
        shared = 0
        while shared < min(len(row.name), len(previous)) and row.name[shared] == previous[shared]:
            shared += 1
        out += varint(shared) + varint(len(row.name) - shared) + row.name[shared:]
        out += bytes([row.dtype, len(row.shape)]) + b"".join(varint(dim) for dim in row.shape)
        out += varint(row.codec)
        key = keys[row.codec] if row.codec < len(keys) else 0
        for k, chunk in enumerate(row.chunks):
            seed = key ^ ((number << 32) + k)
            out += varint(len(chunk)) + struct.pack("<Q", xxhash.xxh3_64_intdigest(chunk, seed))
        previous = row.name
    return bytes(out)


def trailer(start, json_bytes, table_bytes, n_tensors, digest, major=1, minor=0):
    head = struct.pack("<QIIIHHQ", start, json_bytes, table_bytes, n_tensors, major, minor, digest)
    return head + struct.pack("<Q", xxhash.xxh3_64_intdigest(head, 0)) + END_MAGIC


def put_together(parts):
    out = bytearray(parts.header)
    for row in parts.rows:
        for chunk in row.chunks:
            if len(chunk) >= 65536:
                out += bytes(-len(out) % 64)
            out += chunk
    table = build_table(parts) if parts.table is None else parts.table
    n_tensors = len(parts.rows) if parts.n_tensors is None else parts.n_tensors
    start, index = len(out), parts.json + table
    digest = xxhash.xxh3_64_intdigest(index, start)
    return bytes(out) + index + trailer(start, len(parts.json), len(table), n_tensors, digest)


def file_of(config, shape, dtype, *chunks, name=b""):
    """A file of one tensor, from its codec config and its chunks."""
    raw = b'{"codecs":[' + reference.compact(config) + b"]}"
    return put_together(Parts(raw, [Row(name, dtype, list(shape), 0, list(chunks))]))
