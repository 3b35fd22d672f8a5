"""What the contract tests run over: codecs of the registry, dtypes, shapes, odd values."""

import numpy as np
from reference import FLOATS, NUMPY

import qcodec
from qcodec import registry

# Options of each quantizer that between them reach every branch of its section and grid.
OPTIONS = {
    "dithered": ["(step=0.3)", "(step=0.01, seed=5)", "(step=1e-05, seed=3, wiener=True)"],
    "e8p": ["", "(axis=0)", "(group=100)"],
    "kmeans": [
        "",
        "(k=3)",
        "(k=200)",
        "(k=5, axis=0)",
        "(k=4, group=100)",
        "(k=8, keep_zeros=True)",
        "(rate=0.05)",
    ],
    "lattice": [
        "('z', step=0.3)",
        "('d4', step=0.3)",
        "('e8', step=0.3)",
        "('e8', step=1e-05)",
        "('leech', step=0.5)",
        "('leech', step=0.001, rdo=0.05)",
        "('z', step=0.3, dither=True)",
        "('d4', step=0.001, dither=True, seed=7, wiener=True)",
        "('e8', step=0.3, dither=True, seed=9000000000)",
    ],
    "lossless": [""],
    "rounded": ["", "(mantissa=0)"],
    "ternary": ["", "(sparsity=1.0)"],
    "trellis": [
        "(step=0.3)",
        "(step=0.01)",
        "(states=8, step=1e-05)",
        "(bits=2.0)",
        "(states=128, snr=12.0)",
        "(states=8, step=0.3, profile=True)",
        "(states=128, bits=3.5, rdo=0.0, profile=True)",
        "(states=8, bits=3.0, axis=0)",
        "(snr=30.0, group=64)",
    ],
    "uniform": [
        *(f"(bits={bits})" for bits in (1, 2, 3, 4, 5, 6, 7, 8, 16)),
        "(bits=1, symmetric=False)",
        "(bits=8, symmetric=False)",
        "(bits=16, group=100, symmetric=False)",
        "(bits=4, axis=0)",
        "(bits=8, axis=-1)",
        "(bits=8, axis=0, symmetric=False)",
        "(bits=4, group=1)",
        "(bits=3, group=64)",
        "(bits=5, group=1000, symmetric=False)",
        "(step=4.0)",
        "(step=0.3)",
        "(step=0.01)",
        "(step=1e-05)",
        "(step=0.3, rdo=0.1)",
        "(step=0.3, profile=True)",
        "(step=0.3, dead_zone=0.2, profile=True)",
        "(bits=4, clip='mse')",
        "(bits=3, group=32, clip='mse')",
    ],
}
TRANSFORMED = [
    "dct | uniform(bits=4)",
    "dct | uniform(step=0.3)",
    "dct(block=4) | uniform(step=0.3)",
    "dct | uniform(step=0.3, rdo=0.1, profile=True)",
    "dct | dithered(step=0.3)",
    "dct | trellis(step=0.3)",
    "dct | trellis(bits=2.0, profile=True)",
    "dct(block=4) | trellis(states=8, snr=9.0)",
]
QUANTIZERS = [name + options for name in OPTIONS for options in OPTIONS[name]] + TRANSFORMED
# A lossy coder keeps no rule that says what comes back; its own tests say what does.
CODERS = sorted(name for name, cls in registry.stages("coder").items() if not cls.lossy)
# Every quantizer meets every coder; the oldest two with all their options.
CODECS = [
    f"{quantizer} | {coder}"
    for quantizer in QUANTIZERS
    for coder in CODERS
    if coder == "rans"
    or quantizer.startswith(("lossless", "uniform"))
    or quantizer in [name + options[0] for name, options in OPTIONS.items()]
]
LOSSY = [codec for codec in CODECS if not codec.startswith("lossless")]
SHAPES = [
    (), (0,), (3, 0, 2), (1,), (1, 1, 1), (2,), (7,), (8,), (9,), (15, 17), (63,), (64,), (65,),
    (5, 4, 3), (2, 3, 5, 7), (1000,), (91, 90), (8192,), (8193,),
]  # fmt: skip


def takes(codec, dtype, shape):
    """Whether a codec string can take such a tensor."""
    return (
        (dtype in FLOATS or codec.startswith("lossless"))
        and ("axis" not in codec or shape != ())
        and ("block" not in codec or (len(shape) >= 2))
    )


def bits(dtype, shape, seed=0):
    """Any bit pattern of a dtype: NaNs with payloads, subnormals, negative zeros, all alike."""
    n = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    if dtype == "BOOL":
        return rng.integers(0, 2, shape).astype(bool)
    raw = rng.integers(0, 256, n * NUMPY[dtype].itemsize, dtype=np.uint8)
    return raw.view(NUMPY[dtype]).reshape(shape)


def weights(dtype, shape, seed=0):
    """Bell-shaped, as layers are, with outliers, exact zeros, a negative zero and a subnormal."""
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal(int(np.prod(shape)))
    flat[3::11] *= 8
    flat[4::13] = 0
    flat[5::17] = -0.0
    flat[6::19] = 1e-41
    return flat.reshape(shape).astype(NUMPY[dtype])


def tensor(codec, dtype, shape):
    """A tensor that the codec takes."""
    return (
        bits(dtype, shape)
        if qcodec.parse(codec).quantizer.name == "lossless"
        else weights(dtype, shape)
    )


def is_nan(array):
    """As numpy's, without the warning that ml_dtypes gives for signalling NaNs."""
    with np.errstate(invalid="ignore"):
        return np.isnan(array)
