"""qcodec: neural-network weights into few bytes and back.

Names only; `qcodec.save_file`, `load_file`, `safe_open`, `encode` and `decode` do the work, codec
objects (`Uniform`, `Lossless`, `Bitpack`, `Huffman`, joined by ``|``) and `parse` say how.
"""

from qcodec.blob import decode, encode
from qcodec.errors import (
    CorruptError,
    InputError,
    LimitError,
    QCodecError,
    TruncatedError,
    UnsafePathError,
    UnsupportedError,
)
from qcodec.files import load_file, save_file
from qcodec.pipeline import (
    E8P,
    Bitpack,
    Bloomier,
    Codec,
    Dct,
    Dithered,
    Huffman,
    KMeans,
    Lattice,
    Lossless,
    Rans,
    Rounded,
    Ternary,
    Trellis,
    Uniform,
    ZeroRun,
    parse,
)
from qcodec.presets import preset
from qcodec.reading import safe_open
from qcodec.recipe import Recipe, Rule

__version__ = "0.2.0"

__all__ = [
    "E8P",
    "Bitpack",
    "Bloomier",
    "Codec",
    "CorruptError",
    "Dct",
    "Dithered",
    "Huffman",
    "InputError",
    "KMeans",
    "Lattice",
    "LimitError",
    "Lossless",
    "QCodecError",
    "Rans",
    "Recipe",
    "Rounded",
    "Rule",
    "Ternary",
    "Trellis",
    "TruncatedError",
    "Uniform",
    "UnsafePathError",
    "UnsupportedError",
    "ZeroRun",
    "__version__",
    "decode",
    "encode",
    "load_file",
    "parse",
    "preset",
    "safe_open",
    "save_file",
]
