"""A second decoder of .qc files and blobs: plain, slow, written from FORMAT.md alone.

`open_file(data)` checks header, trailer and index; `File.decode(name)` one tensor, with all its
chunks. Both raise `RejectedError` for what the page refuses. Shares no line with the engine.
"""

import json
import math
import struct

import numpy as np
import xxhash
from reference_coders import Cursor, RejectedError, decode_rans, read_stream
from reference_quantizers import DTYPES, FLOATS, NUMPY, Codec, Part, decode_chunk, refuse_unless

__all__ = ["DTYPES", "FLOATS", "NUMPY", "RejectedError", "compact", "decode_blob", "open_file"]

CHUNK = 2**20


def hash64(data, seed):
    return xxhash.xxh3_64_intdigest(data, seed)


# ---- file


class Tensor:
    """One row of the tensor table."""

    def __init__(self, number, name, dtype, shape, codec, kind):
        self.number, self.name, self.dtype = number, name, dtype
        self.shape, self.codec, self.kind = shape, codec, kind
        self.n = math.prod(shape)
        self.chunks = []  # of its own
        self.shared = None  # or the chunk that it shares


class Chunk:
    """Bytes [offset, offset + length) of the file, and the tensors that share them."""

    def __init__(self, seed, tensors):
        self.seed, self.tensors = seed, tensors
        self.offset = self.length = self.digest = None


class File:
    """An opened file: `tensors` by name, `aliases`, `metadata`, `source`, `codecs`."""

    def __init__(self, data):
        self.data = bytes(data)
        refuse_unless(len(data) >= 64, "shorter than header and trailer")
        magic, major, minor, features = struct.unpack("<8sHHI", self.data[:16])
        refuse_unless(magic == bytes.fromhex("89 51 43 46 0D 0A 1A 0A"), "magic")
        refuse_unless(major == 1 and minor <= 1 and features == 0, "version or features")
        self.minor = minor
        tail = self.data[-48:]
        start, json_bytes, table_bytes, n_tensors, major, minor, digest, tail_hash, magic = (
            struct.unpack("<QIIIHHQQ8s", tail)
        )
        refuse_unless(magic == bytes.fromhex("51 43 46 45 4E 44 0D 0A"), "end magic")
        refuse_unless(hash64(tail[:32], 0) == tail_hash, "trailer hash")
        refuse_unless((major, minor) == (1, self.minor), "version of the trailer")
        refuse_unless(2 <= json_bytes <= 2**28 and table_bytes <= 2**28, "index length")
        refuse_unless(n_tensors <= 2**20, "tensors")
        refuse_unless(start >= 16, "index offset")
        refuse_unless(start + json_bytes + table_bytes + 48 == len(self.data), "index place")
        index = self.data[start:-48]
        refuse_unless(hash64(index, start) == digest, "index hash")
        self._read_json(index[:json_bytes])
        table = index[json_bytes:]
        self._read_table(unpack_table(table) if self.minor >= 1 else table, n_tensors, start)
        for alias, target in self.aliases.items():
            refuse_unless(len(alias.encode()) <= 4096, "alias is too long")
            refuse_unless(alias not in self.tensors and target in self.tensors, "alias")

    def _read_json(self, raw):
        value = parse_json(raw)
        refuse_unless(isinstance(value, dict), "JSON is no object")
        known = ["aliases", "codecs", "metadata", "source"]
        refuse_unless(list(value) == [key for key in known if key in value], "JSON keys")
        refuse_unless(
            all(part not in ({}, []) for part in value.values()), "an empty part is present"
        )
        for key in ("aliases", "metadata", "source"):
            part = value.get(key, {})
            refuse_unless(isinstance(part, dict), f"{key} is no object")
            refuse_unless(
                all(isinstance(v, str) for v in part.values()), f"{key} is not of strings"
            )
        source = value.get("source", {"format": "safetensors"})
        refuse_unless(source.get("format") == "safetensors", "source")
        refuse_unless(set(source) <= {"format", "header"}, "source")
        self.codecs = value.get("codecs", [])
        refuse_unless(isinstance(self.codecs, list), "codecs is no array")
        refuse_unless(all(isinstance(codec, dict) for codec in self.codecs), "codec is no object")
        texts = [compact(codec) for codec in self.codecs]
        refuse_unless(len(set(texts)) == len(texts), "codec twice")
        self.keys = [hash64(text, 0) for text in texts]
        self.aliases = value.get("aliases", {})
        self.metadata = value.get("metadata", {})
        self.source = value.get("source", {})

    def _read_table(self, table, n_tensors, end):
        cursor = Cursor(table)
        self.tensors = {}
        previous, at = b"", 16
        waiting = {}  # shared chunks that are open, in the order in which they were opened
        for number in range(n_tensors):
            shared, rest = cursor.varint(), cursor.varint()
            refuse_unless(shared <= len(previous), "shared bytes")
            refuse_unless(shared + rest <= 4096, "name is too long")
            previous = previous[:shared] + cursor.take(rest)
            try:
                name = previous.decode()
            except UnicodeDecodeError:
                raise RejectedError("name is not UTF-8") from None
            refuse_unless(name not in self.tensors, "name twice")
            code, rank = cursor.unsigned(1), cursor.unsigned(1)
            refuse_unless(code in DTYPES, "dtype")
            refuse_unless(rank <= 32, "rank")
            shape = tuple(cursor.varint() for _ in range(rank))
            refuse_unless(math.prod(dim for dim in shape if dim) <= 2**48, "elements")
            place = cursor.varint()
            codec, kind = divmod(place, 4) if self.minor >= 1 else (place, 0)
            refuse_unless(kind <= 2, "kind")
            refuse_unless(codec < len(self.codecs), "codec number")
            tensor = Tensor(number, name, DTYPES[code][0], shape, codec, kind)
            if kind == 0:
                for k in range(-(-tensor.n // CHUNK)):
                    tensor.chunks.append(Chunk(self._seed(tensor, k), [tensor]))
                    at = self._place(tensor.chunks[-1], cursor, at, end)
            else:
                first_seed = self._seed(tensor, 0)
                chunk = waiting.setdefault((codec, code), Chunk(first_seed, []))
                chunk.tensors.append(tensor)
                tensor.shared = chunk
                refuse_unless(tensor.n >= 1, "an empty tensor shares a chunk")
                refuse_unless(sum(t.n for t in chunk.tensors) <= CHUNK, "shared chunk")
                if kind == 2:
                    at = self._place(waiting.pop((codec, code)), cursor, at, end)
            self.tensors[name] = tensor
        self.open_chunks = list(waiting.values())
        for chunk in self.open_chunks:
            at = self._place(chunk, cursor, at, end)
        refuse_unless(cursor.left == 0, "bytes after the last tensor")
        refuse_unless(at == end, "chunks end before the index")

    def _seed(self, tensor, k):
        return self.keys[tensor.codec] ^ ((tensor.number << 32) + k)

    def _place(self, chunk, cursor, at, end):
        """Read a chunk's record; returns where the chunk ends."""
        length = cursor.varint()
        refuse_unless(1 <= length <= 2**32, "chunk length")
        start = -(-at // 64) * 64 if length >= 65536 else at
        refuse_unless(start + length <= end, "chunk reaches into the index")
        refuse_unless(not any(self.data[at:start]), "bytes between chunks are not zero")
        chunk.offset, chunk.length, chunk.digest = start, length, cursor.unsigned(8)
        return start + length

    def stored(self, chunk):
        data = self.data[chunk.offset : chunk.offset + chunk.length]
        refuse_unless(hash64(data, chunk.seed) == chunk.digest, "chunk hash")
        return data

    def decode(self, name, out_dtype=None):
        """A tensor or alias, in its own dtype or another floating one."""
        tensor = self.tensors[self.aliases.get(name, name)]
        codec = Codec(self.codecs[tensor.codec])
        codec.check(tensor)
        values = []
        if tensor.shared:
            parts = [Part(t, 0, t.n) for t in tensor.shared.tensors]
            decoded = decode_chunk(self.stored(tensor.shared), codec, parts)
            values.append(decoded[tensor.shared.tensors.index(tensor)])
        for k, chunk in enumerate(tensor.chunks):
            part = Part(tensor, k * CHUNK, min(CHUNK, tensor.n - k * CHUNK))
            values += decode_chunk(self.stored(chunk), codec, [part])
        out_dtype = out_dtype or tensor.dtype
        lossy = codec.quantizer["name"] not in ("lossless", "rounded")
        if lossy or out_dtype != tensor.dtype:
            with np.errstate(over="ignore", invalid="ignore"):
                values = [v.astype(np.float32).astype(NUMPY[out_dtype]) for v in values]
        return np.concatenate([np.empty(0, NUMPY[out_dtype]), *values]).reshape(tensor.shape)


def unpack_table(packed):
    """The table of a file of 1.1."""
    cursor = Cursor(packed)
    length = cursor.varint()
    refuse_unless(length <= min(2**28, 64 * (len(packed) + 16)), "length of the table")
    pieces = [
        read_stream(cursor, min(2**20, length - at), 8, decode_rans).tobytes()
        for at in range(0, length, 2**20)
    ]
    refuse_unless(cursor.left == 0, "bytes after the packed table")
    return b"".join(pieces)


def open_file(data):
    return File(data)


def decode_blob(data, out_dtype=None):
    file = File(data)
    refuse_unless([*file.tensors, *file.aliases] == [""], "no blob of one tensor")
    return file.decode("", out_dtype)


# ---- JSON


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def parse_json(raw):
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RejectedError("JSON is not UTF-8") from None
    depth, quoted, escaped = 0, False, False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
            continue
        quoted = character == '"'
        depth += (character in "[{") - (character in "]}")
        refuse_unless(depth <= 16, "nested deeper than 16")

    def unique(pairs):
        refuse_unless(len({key for key, _ in pairs}) == len(pairs), "key twice")
        return dict(pairs)

    def refuse(constant):
        raise RejectedError(constant)

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
        same = compact(value) == raw  # neither spaces, nor needless escapes, nor other number forms
    except (ValueError, RecursionError):
        raise RejectedError("no JSON") from None
    refuse_unless(same, "JSON is not in its one form")
    return value
