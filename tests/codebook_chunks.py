"""For tests of codebook quantizers: chunks by themselves, forged blobs, slow decoding."""

import functools
import io
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import reference_codebook
from reference_coders import DECODERS, Cursor, read_stream

import qcodec
from qcodec.container.writer import Writer
from qcodec.encoding import encode_chunks

CHUNK = 2**20
NUMPY = {
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F32": np.float32,
    "F64": np.float64,
}


def name_of(array):
    return next(name for name, dtype in NUMPY.items() if np.dtype(dtype) == array.dtype)


def chunks_of(array, codec, weights=None):
    parsed = qcodec.parse(codec)
    chunks = encode_chunks(array, name_of(array), parsed, "array", 1, weights)
    return [bytes(chunk) for chunk in chunks]


def blob_of(codec, dtype, shape, *chunks):
    """What `encode` would give if these were the chunks."""
    stream = io.BytesIO()
    writer = Writer(stream)
    writer.add("", dtype, shape, qcodec.parse(codec).get_config(), chunks)
    writer.finish()
    return stream.getvalue()


def open_section(chunk, codec, dtype, shape, first=0):
    """Cursor behind the section of a chunk of one tensor, the section, and the chunk's elements."""
    config = qcodec.parse(codec).get_config()
    n = int(np.prod(shape))
    tensor = SimpleNamespace(dtype=dtype, shape=shape, n=n)
    options = config["quantizer"]
    reference_codebook.check(options, tensor)
    count = min(CHUNK, n - first)
    cursor = Cursor(chunk)
    part = SimpleNamespace(tensor=tensor, first=first, count=count)
    return cursor, reference_codebook.SECTIONS[options["name"]](cursor, part, options), count


def slow_decode(chunks, codec, dtype, shape):
    """The tensor, by the reference's sections and coders."""
    coder = {k: v for k, v in qcodec.parse(codec).get_config()["coder"].items() if k != "name"}
    decode = functools.partial(DECODERS[qcodec.parse(codec).coder.name], **coder)
    out = []
    for number, chunk in enumerate(chunks):
        cursor, section, count = open_section(chunk, codec, dtype, shape, number * CHUNK)
        out.append(section.values([read_stream(cursor, count, section.width, decode)]))
        assert cursor.left == 0
    with np.errstate(over="ignore"):
        return np.concatenate(out).astype(NUMPY[dtype]).reshape(shape)
