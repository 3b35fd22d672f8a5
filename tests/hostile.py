"""For the tests of hostile input: small files of every codec, and what the engine makes of one."""

import functools
import io
from unittest import mock

import numpy as np
import samples

import qcodec
from qcodec import QCodecError, packing
from qcodec.container.writer import Writer
from qcodec.packing import Packer, add_tensor

CODECS = [
    codec
    for codec in samples.CODECS
    if codec.split(" | ")[0]
    in (
        "lossless", "uniform(bits=1)", "uniform(bits=4, axis=0)", "uniform(bits=16)",
        "uniform(bits=8, axis=0, symmetric=False)", "uniform(bits=16, group=100, symmetric=False)",
        "uniform(bits=3, group=64)", "uniform(step=4.0)", "uniform(step=0.3)",
        "uniform(step=1e-05)", "trellis(step=0.3)", "trellis(states=8, bits=3.0, axis=0)",
    )
]  # fmt: skip

# What came with 1.1: transforms, profiles and shifts, in chunks that tensors share.
SHARED = [
    f"{stages} | {coder}"
    for stages in (
        "lossless", "uniform(bits=4, axis=0)", "uniform(step=0.3)", "dct | uniform(bits=4)",
        "dct(block=3) | uniform(step=0.3)", "uniform(step=0.3, rdo=0.1, profile=True)",
        "dct | uniform(step=0.3, rdo=0.1, profile=True)", "uniform(step=0.5, dead_zone=0.25)",
        "trellis(bits=3.0)", "dct | trellis(step=0.3, profile=True)",
    )
    for coder in samples.CODERS
]  # fmt: skip


@functools.cache
def small_file(codec):
    """A blob whose one tensor is small, yet large enough for its planes to be worth coding."""
    w = samples.weights("F32", (4, 60), seed=9)
    if codec.startswith(("uniform(step=0.3)", "trellis")):
        w[0, :3] = 1e6, -1e6, 3e5  # width 8 with escapes
    return qcodec.encode(w, codec)


def outcome(data):
    """{name: (dtype, shape, bytes) or error class}, or the error class of opening.

    Errors outside the family of `QCodecError`, and `InputError` (blame of the caller), escape.
    """
    try:
        with qcodec.safe_open(data, threads=1) as f:
            return {name: _tensor(f, name) for name in f.keys()}  # noqa: SIM118
    except QCodecError as error:
        return _checked(error)


def _tensor(f, name):
    try:
        value = f.get_tensor(name)
    except QCodecError as error:
        return _checked(error)
    return value.dtype.name, value.shape, value.tobytes()


def _checked(error):
    if isinstance(error, qcodec.InputError):
        raise AssertionError(f"a file is to blame, not the caller: {error}") from error
    assert str(error).startswith("blob: "), error
    return type(error)


def two_tensors(codec="uniform(bits=8) | bitpack"):
    """A file of two tensors of equal shape and codec, each in a chunk of its own, as bytes."""
    stream = io.BytesIO()
    writer = Writer(stream)
    rng = np.random.default_rng(5)
    for name in ("a", "b"):
        array = rng.standard_normal((6, 50)).astype(np.float32)
        add_tensor(writer, name, array, qcodec.parse(codec), 1)
    writer.finish()
    return stream.getvalue()


@functools.cache
def shared_file(codec):
    """A file whose tensors of two dtypes share chunks: one closed, and one of each left open."""
    stream = io.BytesIO()
    packer = Packer(Writer(stream), 1)
    tensors = [
        ("F32", (4, 3, 3, 3)), ("F16", (5, 7)), ("F32", (9, 20)), ("F32", (2, 2, 3, 3)),
        ("F16", (1, 3)),
    ]  # fmt: skip
    with mock.patch.object(packing, "FULL_ELEMENTS", 250):
        for k, (dtype, shape) in enumerate(tensors):
            packer.add(f"t{k}", samples.weights(dtype, shape, seed=k), qcodec.parse(codec))
    packer.finish()
    return stream.getvalue()
