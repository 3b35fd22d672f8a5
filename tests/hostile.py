"""For the tests of hostile input: small files of every codec, and what the engine makes of one."""

import functools

import numpy as np
import samples

import qcodec
from qcodec import QCodecError

CODECS = [
    codec
    for codec in samples.CODECS
    if codec.split(" | ")[0]
    in (
        "lossless", "uniform(bits=1)", "uniform(bits=4, axis=0)", "uniform(bits=16)",
        "uniform(bits=8, axis=0, symmetric=False)", "uniform(bits=16, group=100, symmetric=False)",
        "uniform(bits=3, group=64)", "uniform(step=4.0)", "uniform(step=0.3)",
        "uniform(step=1e-05)",
    )
]  # fmt: skip


@functools.cache
def small_file(codec):
    """A blob whose one tensor is small, yet large enough for its planes to be worth coding."""
    w = samples.weights("F32", (4, 60), seed=9)
    if codec.startswith("uniform(step=0.3)"):
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
    """A file of two tensors of equal shape and codec, as bytes."""
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.qc")
        rng = np.random.default_rng(5)
        pair = {name: rng.standard_normal((6, 50)).astype(np.float32) for name in ("a", "b")}
        qcodec.save_file(pair, path, codec)
        with open(path, "rb") as f:
            return f.read()
