"""Writes the frozen files: ``python tests/golden/make.py``. What exists is never overwritten.

A released version's files are its promise: they are added once and kept for ever. Expected values
are those of the reference decoder, not of the engine. Tensors come from raw generator bits and
integer arithmetic, which no later version of numpy may change.
"""

import io
import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import reference  # noqa: E402
from golden import rejected  # noqa: E402
from golden.tensors import bell, raw_bits  # noqa: E402

import qcodec  # noqa: E402
from qcodec import packing  # noqa: E402
from qcodec.container.writer import Writer  # noqa: E402
from qcodec.packing import Packer, add_tensor  # noqa: E402

QUANTIZERS = {
    "lossless": "lossless",
    "uniform-bits1": "uniform(bits=1)",
    "uniform-bits4-axis": "uniform(bits=4, axis=0)",
    "uniform-bits3-group": "uniform(bits=3, group=64)",
    "uniform-bits8-affine": "uniform(bits=8, axis=-1, symmetric=False)",
    "uniform-bits16-affine": "uniform(bits=16, group=100, symmetric=False)",
    "uniform-step": "uniform(step=0.25)",
    "uniform-step-escapes": "uniform(step=0.01)",
    "uniform-step-wide": "uniform(step=1e-05)",
}
# What came with 1.1, and shapes of the tensors: convolutions, or a matrix that is no multiple of 8.
QUANTIZERS_1_1 = {
    "dct-step": ("dct | uniform(step=0.25)", (3, 5, 3, 3)),
    "dct-bits4": ("dct | uniform(bits=4)", (3, 4, 5, 5)),
    "dct-block8": ("dct(block=8) | uniform(step=0.25)", (19, 27)),
    "rdo-profile": ("uniform(step=0.25, rdo=0.1, profile=True)", (6, 5, 3, 3)),
    "dct-rdo-profile": ("dct | uniform(step=0.25, rdo=0.1, profile=True)", (6, 5, 3, 3)),
    "dead-zone": ("uniform(step=0.5, dead_zone=0.25)", (10, 80)),
    "scale-codes": ("uniform(bits=4, group=16, clip='mse')", (10, 80)),
    "dithered": ("dithered(step=0.25, seed=7)", (10, 81)),
    "dithered-wiener": ("dithered(step=1.0, seed=5000000000, wiener=True)", (10, 80)),
    "rounded": ("rounded(mantissa=3)", (10, 80)),
    "kmeans": ("kmeans(k=16)", (10, 80)),
    "kmeans-groups": ("kmeans(k=5, group=100)", (10, 81)),
    "ternary": ("ternary", (10, 80)),
    "lattice-z": ("lattice('z', step=0.25)", (10, 80)),
    "lattice-d4-dither": ("lattice('d4', step=0.25, dither=True, seed=3)", (10, 81)),
    "lattice-e8": ("lattice('e8', step=0.25)", (10, 81)),
    "lattice-leech": ("lattice('leech', step=0.25, rdo=0.05)", (10, 81)),
    "e8p": ("e8p(axis=0)", (10, 81)),
    "trellis-step": ("trellis(step=0.25)", (10, 81)),
    "trellis-patches": ("trellis(states=8, step=0.01)", (10, 81)),
    "trellis-128-profile": ("trellis(states=128, step=0.25, profile=True)", (16, 5, 3, 3)),
    "trellis-bits": ("trellis(states=8, bits=2.5)", (20, 80)),
    "trellis-axis": ("trellis(states=8, bits=2.5, axis=0)", (20, 80)),
    "trellis-groups": ("trellis(snr=35.0, group=100)", (20, 81)),
    "dct-trellis": ("dct | trellis(step=0.25)", (13, 5, 3, 3)),
}
CODERS = {version: ["bitpack", "huffman", "rans", "zero_run"] for version in ("1.0", "1.1")}
FILES = {
    f"1.0-{name}-{coder}": f"{quantizer} | {coder}"
    for name, quantizer in QUANTIZERS.items()
    for coder in CODERS["1.0"]
} | {
    f"1.1-{name}-{coder}": f"{stages} | {coder}"
    for name, (stages, _) in QUANTIZERS_1_1.items()
    for coder in CODERS["1.1"]
}
FILES["1.1-sparse-bloomier"] = "uniform(bits=4) | bloomier(bits=6)"
FILES["1.1-sparse-bloomier12"] = "uniform(bits=4) | bloomier(bits=12)"
FILES["1.1-escapes-rans"] = "uniform(step=0.125, rdo=0.01) | rans"
MIXED = "1.0-mixed"
SHARED = "1.1-mixed"


def smooth(w):
    """Neighbours alike and rows of unequal scale: work for transforms and profiles."""
    w[..., 1:] += w[..., :-1]
    w[1::2] /= 4
    return w


def any_bits(dtype, n, seed=0):
    kind = reference.NUMPY[dtype]
    raw = raw_bits(n, seed).view(np.uint8)[: n * kind.itemsize]
    return (raw & 1).astype(bool) if dtype == "BOOL" else raw.view(kind)


def golden_tensor(name):
    version, kind = name.rsplit("-", 1)[0].split("-", 1)
    if kind in ("sparse", "escapes"):
        w = bell((50, 80), seed=len(name))
        if kind == "escapes":
            return w
        return np.where(raw_bits(w.size, len(name)).reshape(w.shape) % 8 == 0, w, 0)
    if version == "1.1":
        shape = QUANTIZERS_1_1[kind][1]
        return smooth(bell(shape, seed=len(name)))
    w = bell((4, 60), seed=len(name))
    if "escapes" in name:
        w[1, 5:8] = 1000, -1000, 160_000
        w[3] /= 4096
    return w


def expected_values(data):
    """{"dtype:name": values as unsigned integers}, by the reference."""
    file = reference.open_file(data)
    out = {}
    for name in [*file.tensors, *file.aliases]:
        values = file.decode(name)
        dtype = file.tensors[file.aliases.get(name, name)].dtype
        out[f"{dtype}:{name}"] = values.view(f"u{values.itemsize}")
    return out


def mixed_file():
    """Every dtype, scalar and empty shapes, aliases, metadata, a source, a tensor of two chunks."""
    stream = io.BytesIO()
    writer = Writer(stream, {"format": "pt", "note": 'quotes " and \\ and\nlines, é 日本'})
    for k, dtype in enumerate(reference.NUMPY):
        array = any_bits(dtype, 33, seed=k).reshape(3, 11)
        add_tensor(writer, f"any.{dtype}", array, qcodec.parse("lossless | huffman"), 1)
    for name, array, codec in [
        ("blk.0.weight", bell((8, 40), 1), "uniform(bits=4, axis=0) | huffman"),
        (
            "blk.0.half",
            bell((2, 3, 50), 2).astype(np.float16),
            "uniform(bits=8, group=7) | bitpack",
        ),
        ("blk.1.double", bell((300,), 3).astype(np.float64), "uniform(step=0.5) | huffman"),
        ("scalar", bell((), 4), "uniform(bits=2, symmetric=False) | huffman"),
        ("empty", bell((3, 0, 2), 5), "uniform(bits=8) | bitpack"),
        ("", np.float64(-0.0), "lossless | bitpack"),
        ("chunks", (np.arange(2**20 + 5) % 1000 == 999).astype(np.uint8), "lossless | huffman"),
        ("näme/../x", np.arange(5, dtype=np.int64), "lossless | bitpack"),
    ]:
        add_tensor(writer, name, np.asarray(array), qcodec.parse(codec), 1)
    writer.alias("tied", "blk.0.weight")
    writer.alias("tied.again", "blk.0.weight")
    writer.set_source({"format": "safetensors", "header": '{"a": 1}'})
    writer.finish()
    return stream.getvalue()


def shared_file():
    """Several codecs and dtypes in shared chunks: closed, left open, and of a tensor alone."""
    stream = io.BytesIO()
    writer = Writer(stream)
    packer = Packer(writer, 1)
    codecs = ["lossless | rans", "uniform(bits=4, axis=0) | huffman",
              "dct | uniform(step=0.25, rdo=0.1, profile=True) | rans"]  # fmt: skip
    with mock.patch.object(packing, "FULL_ELEMENTS", 500):
        for k in range(18):
            dtype = ("F32", "BF16")[k // 3 % 2]
            array = smooth(bell((3 + k % 5, 4, 3, 3), k)).astype(reference.NUMPY[dtype])
            packer.add(f"layer.{k}.weight", array, qcodec.parse(codecs[k % 3]))
        packer.add("layer.0.bias", bell((7,), 20), qcodec.parse(codecs[2]))
        packer.add("count", np.array(3, np.int64), qcodec.parse(codecs[0]))
        packer.add("empty", bell((3, 0, 2), 5), qcodec.parse(codecs[0]))
    add_tensor(writer, "own", bell((20,), 21), qcodec.parse("uniform(step=0.25) | bitpack"), 1)
    writer.alias("tied", "layer.4.weight")
    packer.finish()
    return stream.getvalue()


# ---- sizes


def ledger():
    """Exact sizes of whole blobs. Worse or better, a change shows in review."""
    import samples

    tensors = {
        "bell F32 64x500": bell((64, 500), 10),
        "bell F32 40": bell((40,), 11),
        "sparse F32 20000": np.where(raw_bits(20_000, 12) % 20 == 0, bell((20_000,), 13), 0),
        "smooth F32 32x16x3x3": smooth(bell((32, 16, 3, 3), 15)),
        "bell BF16 64x500": bell((64, 500), 14).astype(reference.NUMPY["BF16"]),
    }
    sizes = {
        what: {
            codec: len(qcodec.encode(array, codec))
            for codec in samples.CODECS
            if samples.takes(codec, "F32", array.shape)
        }
        for what, array in tensors.items()
    }
    sizes["counting I64 20000"] = {
        f"lossless | {coder}": len(qcodec.encode(np.arange(20_000), f"lossless | {coder}"))
        for coder in samples.CODERS
    }
    return sizes


def write(path, data):
    if path.exists():
        raise FileExistsError(f"{path}: frozen; a new version gets new files")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_golden(folder, name, data):
    stream = io.BytesIO()
    np.savez_compressed(stream, **expected_values(data))
    write(folder / f"{name}.qc", data)
    write(folder / f"{name}.npz", stream.getvalue())


def main(folder=HERE):
    """Writes what is missing; returns how many files were refused because they exist."""
    jobs = [(write_golden, name, lambda n=name, c=codec: qcodec.encode(golden_tensor(n), c))
            for name, codec in FILES.items()]  # fmt: skip
    jobs += [(write_golden, MIXED, mixed_file), (write_golden, SHARED, shared_file)]
    refused = 0
    for put, name, make in jobs:
        if (folder / f"{name}.qc").exists():
            refused += 1
        else:
            put(folder, name, make())
    for name, data in rejected.files():
        if (folder / "rejected" / f"{name}.qc").exists():
            refused += 1
        else:
            write(folder / "rejected" / f"{name}.qc", data)
    if (folder / "sizes.json").exists():
        refused += 1
    else:
        text = json.dumps(ledger(), indent=1, sort_keys=True) + "\n"
        write(folder / "sizes.json", text.encode())
    return refused


if __name__ == "__main__":
    kept = main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
    print(f"{kept} files existed and were left alone")
