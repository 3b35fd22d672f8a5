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

MAGIC = bytes.fromhex("895143460d0a1a0a")
END_MAGIC = bytes.fromhex("514346454e440d0a")
OWN, JOINS, CLOSES = 0, 1, 2


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@dataclass
class Row:
    """A tensor: its fields in the table, and the chunks whose records stand there."""

    name: bytes
    dtype: int
    shape: list
    codec: int
    chunks: list = field(default_factory=list)
    kind: int = OWN


@dataclass
class Parts:
    """A whole file. `table` replaces the table made from `rows`, `packed` its packed form."""

    json: bytes
    rows: list
    table: bytes | None = None
    n_tensors: int | None = None
    minor: int = 1
    open_chunks: list = field(default_factory=list)
    packed: bytes | None = None

    def copy(self):
        return copy.deepcopy(self)


def take_apart(data):
    file = reference.open_file(data)
    start, json_bytes = struct.unpack("<QI", data[-48:-36])
    codes = {name: code for code, (name, _, _) in reference.DTYPES.items()}
    rows = []
    for name, tensor in file.tensors.items():
        chunks = [tensor.shared] if tensor.kind == CLOSES else tensor.chunks
        stored = [file.stored(chunk) for chunk in chunks]
        shape = list(tensor.shape)
        rows.append(
            Row(name.encode(), codes[tensor.dtype], shape, tensor.codec, stored, tensor.kind)
        )
    raw = data[start : start + json_bytes]
    left = [file.stored(chunk) for chunk in file.open_chunks]
    return Parts(raw, rows, minor=file.minor, open_chunks=left)


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
    previous, waiting = b"", {}
    for number, row in enumerate(parts.rows):
        shared = 0
        while shared < min(len(row.name), len(previous)) and row.name[shared] == previous[shared]:
            shared += 1
        out += varint(shared) + varint(len(row.name) - shared) + row.name[shared:]
        out += bytes([row.dtype, len(row.shape)]) + b"".join(varint(dim) for dim in row.shape)
        out += varint(4 * row.codec + row.kind if parts.minor else row.codec)
        seed = (keys[row.codec] if row.codec < len(keys) else 0) ^ (number << 32)
        if row.kind != OWN:
            seed = waiting.setdefault((row.codec, row.dtype), seed)
        if row.kind == CLOSES:
            del waiting[row.codec, row.dtype]
        for k, chunk in enumerate(row.chunks):
            out += record(chunk, seed ^ k)
        previous = row.name
    for chunk, seed in zip(parts.open_chunks, [*waiting.values(), 0, 0, 0], strict=False):
        out += record(chunk, seed)
    return bytes(out)


def record(chunk, seed):
    return varint(len(chunk)) + struct.pack("<Q", xxhash.xxh3_64_intdigest(chunk, seed))


def pack_table(table):
    """Streams that are stored: legal, if longer than a writer's."""
    pieces = [table[at : at + 2**20] for at in range(0, len(table), 2**20)]
    return varint(len(table)) + b"".join(b"\0" + piece for piece in pieces)


def trailer(start, json_bytes, table_bytes, n_tensors, digest, major=1, minor=1):
    head = struct.pack("<QIIIHHQ", start, json_bytes, table_bytes, n_tensors, major, minor, digest)
    return head + struct.pack("<Q", xxhash.xxh3_64_intdigest(head, 0)) + END_MAGIC


def put_together(parts):
    out = bytearray(MAGIC + struct.pack("<HHI", 1, parts.minor, 0))
    for chunk in [*(chunk for row in parts.rows for chunk in row.chunks), *parts.open_chunks]:
        if len(chunk) >= 65536:
            out += bytes(-len(out) % 64)
        out += chunk
    table = build_table(parts) if parts.table is None else parts.table
    if parts.minor:
        table = pack_table(table) if parts.packed is None else parts.packed
    n_tensors = len(parts.rows) if parts.n_tensors is None else parts.n_tensors
    start, index = len(out), parts.json + table
    digest = xxhash.xxh3_64_intdigest(index, start)
    end = trailer(start, len(parts.json), len(table), n_tensors, digest, minor=parts.minor)
    return bytes(out) + index + end


def file_of(config, shape, dtype, *chunks, name=b"", minor=1):
    """A file of one tensor, from its codec config and its chunks."""
    raw = b'{"codecs":[' + reference.compact(config) + b"]}"
    return put_together(Parts(raw, [Row(name, dtype, list(shape), 0, list(chunks))], minor=minor))


def shared_file(config, shapes, dtype, chunk, kinds=None, codec_json=None):
    """A file whose tensors "0", "1", ... share one chunk, left open unless `kinds` close it."""
    raw = b'{"codecs":[' + (codec_json or reference.compact(config)) + b"]}"
    kinds = kinds or [JOINS] * len(shapes)
    rows = [
        Row(b"%d" % k, dtype, list(shape), 0, [chunk] if kind == CLOSES else [], kind)
        for k, (shape, kind) in enumerate(zip(shapes, kinds, strict=True))
    ]
    left = [] if CLOSES in kinds else [chunk]
    return put_together(Parts(raw, rows, open_chunks=left))
