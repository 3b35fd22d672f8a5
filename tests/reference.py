"""A second decoder of .qc files and blobs: plain, slow, written from FORMAT.md alone.

`open_file(data)` checks header, trailer and index; `File.decode(name)` one tensor, with all its
chunks. Both raise `RejectedError` for what the page refuses. Shares no line with the engine.
"""

import functools
import json
import math
import struct

import ml_dtypes
import numpy as np
import xxhash
from reference_coders import CODER_OPTIONS, DECODERS, Cursor, RejectedError, read_stream

CHUNK = 2**20
DTYPES = {
    0: ("BOOL", "?", "plain"), 1: ("U8", "u1", "plain"), 2: ("I8", "i1", "zigzag"),
    3: ("U16", "<u2", "plain"), 4: ("I16", "<i2", "zigzag"), 5: ("U32", "<u4", "plain"),
    6: ("I32", "<i4", "zigzag"), 7: ("U64", "<u8", "plain"), 9: ("I64", "<i8", "zigzag"),
    10: ("F16", "<f2", "rotated"), 11: ("BF16", ml_dtypes.bfloat16, "rotated"),
    12: ("F32", "<f4", "rotated"), 13: ("F64", "<f8", "rotated"),
    14: ("F8_E4M3", ml_dtypes.float8_e4m3fn, "rotated"),
    15: ("F8_E5M2", ml_dtypes.float8_e5m2, "rotated"), 16: ("C64", "<c8", "plain"),
}  # fmt: skip
NUMPY = {name: np.dtype(kind) for name, kind, _ in DTYPES.values()}
MAPPINGS = {name: mapping for name, _, mapping in DTYPES.values()}
FLOATS = ("F16", "BF16", "F32", "F64")
OPTIONS = {"lossless": (), "uniform": ("bits", "step", "axis", "group", "symmetric")}


def hash64(data, seed):
    return xxhash.xxh3_64_intdigest(data, seed)


def refuse_unless(condition, rule):
    if not condition:
        raise RejectedError(rule)


# ---- file


class Tensor:
    """One row of the tensor table."""

    def __init__(self, number, name, dtype, shape, codec):
        self.number, self.name, self.dtype, self.shape, self.codec = (
            number,
            name,
            dtype,
            shape,
            codec,
        )
        self.n = math.prod(shape)
        self.chunks = []  # (offset, length, hash)


class File:
    """An opened file: `tensors` by name, `aliases`, `metadata`, `source`, `codecs`."""

    def __init__(self, data):
        self.data = bytes(data)
        refuse_unless(len(data) >= 64, "shorter than header and trailer")
        magic, major, minor, features = struct.unpack("<8sHHI", self.data[:16])
        refuse_unless(magic == bytes.fromhex("89 51 43 46 0D 0A 1A 0A"), "magic")
        refuse_unless((major, minor, features) == (1, 0, 0), "version or features")
        tail = self.data[-48:]
        start, json_bytes, table_bytes, n_tensors, major, minor, digest, tail_hash, magic = (
            struct.unpack("<QIIIHHQQ8s", tail)
        )
        refuse_unless(magic == bytes.fromhex("51 43 46 45 4E 44 0D 0A"), "end magic")
        refuse_unless(hash64(tail[:32], 0) == tail_hash, "trailer hash")
        refuse_unless((major, minor) == (1, 0), "version of the trailer")
        refuse_unless(2 <= json_bytes <= 2**28 and table_bytes <= 2**28, "index length")
        refuse_unless(n_tensors <= 2**20, "tensors")
        refuse_unless(start >= 16, "index offset")
        refuse_unless(start + json_bytes + table_bytes + 48 == len(self.data), "index place")
        index = self.data[start:-48]
        refuse_unless(hash64(index, start) == digest, "index hash")
        self._read_json(index[:json_bytes])
        self._read_table(index[json_bytes:], n_tensors, start)
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
            codec = cursor.varint()
            refuse_unless(codec < len(self.codecs), "codec number")
            tensor = Tensor(number, name, DTYPES[code][0], shape, codec)
            for _ in range(-(-tensor.n // CHUNK)):
                length = cursor.varint()
                refuse_unless(1 <= length <= 2**32, "chunk length")
                start = -(-at // 64) * 64 if length >= 65536 else at
                refuse_unless(start + length <= end, "chunk reaches into the index")
                refuse_unless(not any(self.data[at:start]), "bytes between chunks are not zero")
                tensor.chunks.append((start, length, cursor.unsigned(8)))
                at = start + length
            self.tensors[name] = tensor
        refuse_unless(cursor.left == 0, "bytes after the last tensor")
        refuse_unless(at == end, "chunks end before the index")

    def decode(self, name, out_dtype=None):
        """A tensor or alias, in its own dtype or another floating one."""
        tensor = self.tensors[self.aliases.get(name, name)]
        quantizer, coder = check_config(self.codecs[tensor.codec], tensor)
        out_dtype = out_dtype or tensor.dtype
        parts = [np.empty(0, NUMPY[out_dtype])]
        for number, (start, length, digest) in enumerate(tensor.chunks):
            chunk = self.data[start : start + length]
            seed = self.keys[tensor.codec] ^ ((tensor.number << 32) + number)
            refuse_unless(hash64(chunk, seed) == digest, "chunk hash")
            first = number * CHUNK
            count = min(CHUNK, tensor.n - first)
            parts.append(decode_chunk(chunk, tensor, quantizer, coder, first, count, out_dtype))
        return np.concatenate(parts).reshape(tensor.shape)


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


# ---- codecs


def check_config(config, tensor):
    """(quantizer options, function of the coder) of a config that fits the tensor."""
    refuse_unless(list(config) == ["quantizer", "coder"], "config")
    stages = [config["quantizer"], config["coder"]]
    coders = dict.fromkeys(DECODERS, ()) | CODER_OPTIONS
    for stage, known in zip(stages, (OPTIONS, coders), strict=True):
        refuse_unless(isinstance(stage, dict) and isinstance(stage.get("name"), str), "stage")
        refuse_unless(stage["name"] in known, "unknown stage")
        refuse_unless(list(stage) == ["name", *known[stage["name"]]], "options")
    quantizer = stages[0]
    if quantizer["name"] == "uniform":
        check_uniform(quantizer, tensor)
    coder = {key: value for key, value in stages[1].items() if key != "name"}
    refuse_unless(coder.get("then", "none") in ("none", "huffman", "rans"), "then")
    return quantizer, functools.partial(DECODERS[stages[1]["name"]], **coder)


def whole(value, low, high):
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def check_uniform(o, tensor):
    refuse_unless(tensor.dtype in FLOATS, "uniform takes floating dtypes")
    refuse_unless((o["bits"] is None) != (o["step"] is None), "bits or step")
    refuse_unless(o["bits"] is None or whole(o["bits"], 1, 8) or whole(o["bits"], 16, 16), "bits")
    refuse_unless(o["axis"] is None or o["group"] is None, "axis and group")
    rank = len(tensor.shape)
    refuse_unless(o["axis"] is None or whole(o["axis"], -rank, rank - 1), "axis")
    refuse_unless(o["group"] is None or whole(o["group"], 1, 2**20), "group")
    refuse_unless(o["symmetric"] is True or o["symmetric"] is False, "symmetric")
    if o["step"] is not None:
        number = isinstance(o["step"], (int, float)) and not isinstance(o["step"], bool)
        # A normal float32: what a scale of the file can be.
        refuse_unless(number and 2.0**-126 <= o["step"] <= (2 - 2**-23) * 2.0**127, "step")
        refuse_unless(o["axis"] is None and o["group"] is None and o["symmetric"], "step excludes")


def groups(o, shape, n):
    """(inner, dim): element i belongs to group (i / inner) mod dim."""
    if o["axis"] is not None:
        axis = o["axis"] % len(shape)
        return max(math.prod(shape[axis + 1 :]), 1), max(shape[axis], 1)
    if o["group"] is not None:
        return o["group"], max(-(-n // o["group"]), 1)
    return max(n, 1), 1


# ---- chunks


def decode_chunk(chunk, tensor, quantizer, coder, first, count, out_dtype):
    cursor = Cursor(chunk)
    if quantizer["name"] == "lossless":
        planes = [read_stream(cursor, count, 8, coder) for _ in range(NUMPY[tensor.dtype].itemsize)]
        out = merge_planes(planes, tensor.dtype)
    else:
        out = decode_uniform(cursor, tensor, quantizer, coder, first, count)
    refuse_unless(cursor.left == 0, "bytes after the last stream")
    if quantizer["name"] == "lossless" and out_dtype == tensor.dtype:
        return out
    with np.errstate(over="ignore", invalid="ignore"):
        return out.astype(np.float32).astype(NUMPY[out_dtype])


def merge_planes(planes, dtype):
    width = 8 * len(planes)
    y = np.zeros(planes[0].size, np.uint64)
    for plane in planes:
        y = (y << np.uint64(8)) | plane.astype(np.uint64)
    low, rest = y & np.uint64(1), y >> np.uint64(1)
    mask = np.uint64(2**width - 1)
    if MAPPINGS[dtype] == "rotated":
        y = rest | (low << np.uint64(width - 1))
    elif MAPPINGS[dtype] == "zigzag":
        y = (rest ^ (np.uint64(0) - low)) & mask
    return y.astype(f"<u{len(planes)}").view(NUMPY[dtype])


def decode_uniform(cursor, tensor, o, coder, first, count):
    form, width = cursor.unsigned(1), cursor.unsigned(1)
    refuse_unless(form <= (1 if o["symmetric"] else 3), "form")
    refuse_unless(1 <= width <= 8 or width == 16, "width")
    refuse_unless(o["bits"] in (None, width), "width is not bits")
    escapes = cursor.varint() if o["step"] is not None else 0
    refuse_unless(escapes <= (count if width >= 8 else 0), "escapes")
    inner, dim = groups(o, tensor.shape, tensor.n)
    entries = min(dim, (first + count - 1) // inner - first // inner + 1)
    if form & 1:
        bits = [cursor.unsigned(2) * 2**15 for _ in range(entries)]
    else:
        bits = [cursor.unsigned(4) for _ in range(entries)]
    refuse_unless(all(b == 0 or 0x00800000 <= b < 0x7F800000 for b in bits), "scale")
    scales = np.array(bits, np.uint32).view(np.float32)
    zeros = np.full(entries, 2 ** (width - 1), np.int64)
    if not o["symmetric"]:
        read = (lambda: cursor.signed(4)) if form & 2 else (lambda: cursor.unsigned(1))
        zeros = np.array([read() for _ in range(entries)], np.int64)
        refuse_unless(bool(np.all(np.abs(zeros) <= 2**23)), "zero point")
    escaped = np.array([cursor.signed(4) for _ in range(escapes)], np.int64)
    refuse_unless(bool(np.all(np.abs(escaped) <= 2**24)), "escaped value")

    if width == 16:
        high = read_stream(cursor, count, 8, coder).astype(np.int64)
        symbols = 256 * high + read_stream(cursor, count, 8, coder)
    else:
        symbols = read_stream(cursor, count, width, coder).astype(np.int64)
    entry = ((first + np.arange(count)) // inner - first // inner) % dim
    sign_grid = o["bits"] == 1 and o["symmetric"]
    q = 2 * symbols - 1 if sign_grid else symbols - zeros[entry]
    if escapes:
        at = np.flatnonzero(symbols == 0)
        refuse_unless(at.size == escapes, "zeros and escapes differ in number")
        q[at] = escaped
    with np.errstate(over="ignore"):  # a forged scale may reach infinity
        return q.astype(np.float32) * scales[entry]
