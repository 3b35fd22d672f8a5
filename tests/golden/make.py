"""Writes the frozen files: ``python tests/golden/make.py``. What exists is never overwritten.

A released version's files are its promise: they are added once and kept for ever. Expected values
are those of the reference decoder, not of the engine. Tensors come from raw generator bits and
integer arithmetic, which no later version of numpy may change.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import forge  # noqa: E402
import reference  # noqa: E402

import qcodec  # noqa: E402
from qcodec.container.writer import Writer  # noqa: E402
from qcodec.packing import add_tensor  # noqa: E402

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
CODERS = {"1.0": ["bitpack", "huffman", "rans", "zero_run"]}
FILES = {
    f"{version}-{name}-{coder}": f"{quantizer} | {coder}"
    for version, coders in CODERS.items()
    for name, quantizer in QUANTIZERS.items()
    for coder in coders
}
MIXED = "1.0-mixed"


def raw_bits(n, seed):
    return np.random.PCG64(seed).random_raw(n)


def bell(shape, seed=0):
    """Sums of eight random bytes, centred and scaled by a power of two: float32, exact."""
    n = int(np.prod(shape))
    total = raw_bits(n, seed).view(np.uint8).reshape(n, 8).sum(axis=1, dtype=np.int64)
    return ((total - 1020) / 256).astype(np.float32).reshape(shape)


def any_bits(dtype, n, seed=0):
    kind = reference.NUMPY[dtype]
    raw = raw_bits(n, seed).view(np.uint8)[: n * kind.itemsize]
    return (raw & 1).astype(bool) if dtype == "BOOL" else raw.view(kind)


def golden_tensor(name):
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


# ---- files that must be refused; the name begins with the class of the error


def config(quantizer, coder):
    return qcodec.parse(f"{quantizer} | {coder}").get_config()


def rejected_files():
    good = qcodec.encode(bell((4, 60)), "uniform(bits=4) | huffman")
    parts = forge.take_apart(good)
    start = len(good) - 48

    def with_json(raw):
        changed = parts.copy()
        changed.json = raw
        return forge.put_together(changed)

    def with_header(at, value):
        return good[:at] + value + good[at + len(value) :]

    def huffman(payload):
        chunk = bytes.fromhex("01 02 007F 02") + bytes([len(payload)]) + payload
        return forge.file_of(config("uniform(bits=2)", "huffman"), (7,), 12, chunk)

    def uniform(text, chunk, shape=(4,)):
        return forge.file_of(config(text, "bitpack"), shape, 12, bytes.fromhex(chunk))

    yield "TruncatedError-empty", b""
    yield "TruncatedError-half", good[: len(good) // 2]
    yield "TruncatedError-last-byte", good[:-1]
    yield "TruncatedError-appended-byte", good + b"\0"
    yield "CorruptError-zip", b"PK\x03\x04" + bytes(100)
    yield "CorruptError-flipped-bit-of-a-chunk", with_header(20, bytes([good[20] ^ 4]))
    yield (
        "CorruptError-flipped-bit-of-the-index",
        with_header(start - 9, bytes([good[start - 9] ^ 4])),
    )
    yield "CorruptError-flipped-bit-of-the-trailer", with_header(start, bytes([good[start] ^ 4]))
    yield "UnsupportedError-major-2", with_header(8, b"\2")
    yield "UnsupportedError-minor-1", with_header(10, b"\1")
    yield "UnsupportedError-feature", with_header(12, b"\1")
    yield "UnsupportedError-codec", with_json(parts.json.replace(b'"uniform"', b'"future"'))
    yield "CorruptError-json-space", with_json(parts.json + b" ")
    yield "CorruptError-json-key-twice", with_json(parts.json[:-1] + b"," + parts.json[1:])
    yield "CorruptError-json-nan", with_json(parts.json.replace(b'"bits":4', b'"bits":NaN'))
    yield "CorruptError-json-deep", with_json(b'{"codecs":' + b"[" * 17 + b"]" * 17 + b"}")
    yield "CorruptError-option-missing", with_json(parts.json.replace(b'"step":null,', b""))
    yield "CorruptError-option-range", with_json(parts.json.replace(b'"bits":4', b'"bits":9'))
    twice = parts.copy()
    twice.rows *= 2
    yield "CorruptError-name-twice", forge.put_together(twice)
    many = parts.copy()
    many.rows[0].shape = [2**32, 2**32]
    yield "LimitError-elements", forge.put_together(many)
    yield "CorruptError-huffman-incomplete", huffman(bytes.fromhex("00 01 0003 6208 0200 DA01"))
    yield "CorruptError-huffman-padding", huffman(bytes.fromhex("00 01 0003 9108 0200 DA11"))
    yield "CorruptError-bitpack-coded", uniform("uniform(bits=4)", "01 04 007F 02 02 0000")
    yield "CorruptError-scale-nan", uniform("uniform(bits=4)", "01 04 C0FF 00 0000")
    yield "CorruptError-scale-subnormal", uniform("uniform(bits=4)", "01 04 0100 00 0000")
    yield "CorruptError-width", uniform("uniform(bits=4)", "01 05 007F 00 000000")
    yield "CorruptError-form", uniform("uniform(bits=4)", "02 04 0000803F 00 0000")
    yield "CorruptError-constant", uniform("uniform(bits=4)", "01 04 007F 01 10")
    yield "CorruptError-padding", uniform("uniform(bits=1)", "01 01 007F 00 F0")
    yield "CorruptError-escapes", uniform("uniform(step=1.0)", "01 08 01 007F 05000000 00 80808080")
    yield (
        "CorruptError-escape-range",
        uniform("uniform(step=1.0)", "01 08 01 007F 01000001 00 00808080"),
    )
    yield (
        "CorruptError-zero-point",
        uniform("uniform(bits=4, symmetric=False)", "03 04 007F 01008000 00 0000"),
    )
    yield "TruncatedError-section", uniform("uniform(bits=4)", "01 04 00")
    yield (
        "CorruptError-bytes-after-the-streams",
        uniform("uniform(bits=4)", "01 04 007F 00 0000 00"),
    )


# ---- sizes


def ledger():
    """Exact sizes of whole blobs. Worse or better, a change shows in review."""
    import samples

    tensors = {
        "bell F32 64x500": bell((64, 500), 10),
        "bell F32 40": bell((40,), 11),
        "sparse F32 20000": np.where(raw_bits(20_000, 12) % 20 == 0, bell((20_000,), 13), 0),
        "bell BF16 64x500": bell((64, 500), 14).astype(reference.NUMPY["BF16"]),
    }
    sizes = {
        what: {codec: len(qcodec.encode(array, codec)) for codec in samples.CODECS}
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
    jobs.append((write_golden, MIXED, mixed_file))
    refused = 0
    for put, name, make in jobs:
        if (folder / f"{name}.qc").exists():
            refused += 1
        else:
            put(folder, name, make())
    for name, data in rejected_files():
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
