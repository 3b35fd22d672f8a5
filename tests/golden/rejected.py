"""Files that must be refused; the name begins with the class of the error."""

import forge
from golden.tensors import bell

import qcodec


def config(quantizer, coder):
    return qcodec.parse(f"{quantizer} | {coder}").get_config()


def files():
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
    # As a reader of 1.1 sees a file of 1.0 whose header says 1.1, or the other way round.
    yield "CorruptError-minor-of-header-and-trailer", with_header(10, b"\0")
    yield "UnsupportedError-minor-255", with_header(10, b"\xff")
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
    yield from files_1_1()


def files_1_1():
    """What can be wrong with what came with 1.1."""
    plain = config("uniform(bits=4)", "bitpack")
    stepped = config("uniform(step=1.0)", "bitpack")
    profiled = config("uniform(step=1.0, profile=True)", "bitpack")
    # Two tensors of four symbols of 4 bits: sections, mode, symbols.
    pair = bytes.fromhex("01 04 007F 01 04 007F 00 80808080")

    def pack(packed):
        parts = forge.take_apart(qcodec.encode(bell((4,)), "lossless | bitpack"))
        parts.packed = packed
        return forge.put_together(parts)

    def shared(chunk, shapes=((4,), (4,)), of=plain, **more):
        return forge.shared_file(of, shapes, 12, bytes.fromhex(chunk), **more)

    def single(of, chunk, shape=(4,)):
        return forge.file_of(of, shape, 12, bytes.fromhex(chunk))

    def codec(**stages):
        return forge.file_of(stages, (4, 4), 12, b"\x09\x04\x00\x00" + bytes(8))

    quantizer, coder = stepped["quantizer"], stepped["coder"]
    yield "CorruptError-kind-3", shared(pair.hex(), kinds=[1, 3])
    yield "CorruptError-shared-empty-tensor", shared(pair.hex(), shapes=((4,), (0,)))
    yield "CorruptError-shared-too-large", shared(pair.hex(), shapes=((2**20,), (1,)))
    yield "CorruptError-shared-one-too-large", shared(pair.hex(), shapes=((2**20 + 1,),))
    yield "TruncatedError-shared-without-record", without_record(plain, pair)
    yield (
        "CorruptError-shared-widths",
        shared("08 04 00 08 03 00 00 80808080", of=stepped),
    )
    yield "TruncatedError-shared-section", shared("01 04 007F 01 04")
    yield "CorruptError-shared-bytes-after", shared(pair.hex() + "00")
    yield "CorruptError-same-shifts-first", single(stepped, "18 04 00 00 0000")
    yield (
        "CorruptError-same-shifts-of-none",
        shared("08 04 00 18 04 00 00 80808080", of=stepped),
    )
    yield "CorruptError-shifts-0", single(stepped, "0C 04 00 00 00 0000")
    yield "CorruptError-shifts-32", single(stepped, "0C 04 00 20" + 32 * "01" + "00 0000")
    yield "CorruptError-shifts-twice", single(stepped, "1C 04 00 01 01 00 0000")
    yield "CorruptError-shifts-wide", single(stepped, "0C 10 00 01 01 00 00000000 00 00000000")
    yield "CorruptError-shifts-without-step", single(plain, "05 04 007F 01 01 00 0000")
    yield "CorruptError-step-scale-without-step", single(plain, "08 04 00 0000")
    yield "CorruptError-two-scales", single(stepped, "09 04 00 00 0000")
    yield "CorruptError-form-bit-5", single(stepped, "28 04 00 00 0000")
    # One row, two channels of two positions, so five codes and four symbols of one bit.
    yield (
        "TruncatedError-profile",
        single(profiled, "08 01 00 00 200802", shape=(1, 2, 2)),
    )
    yield (
        "CorruptError-profile-padding",
        single(profiled, "08 01 00 00 200882E0 00 0F", shape=(1, 2, 2)),
    )
    yield "CorruptError-profile-constant", single(profiled, "08 01 00 01 40 00 0F", shape=(1, 2, 2))
    yield (
        "CorruptError-profile-too-long",
        single(profiled, "08 01 00 01 20 00 0F", shape=(4, 2**18, 1)),
    )
    yield (
        "CorruptError-profile-of-2^20-codes",
        shared("080100" * 5 + "01 20 01 00", shapes=((1, 2**18 - 1),) * 5, of=profiled),
    )
    yield (
        "CorruptError-profile-of-blocks",
        codec(transform={"name": "dct", "block": 2}, quantizer=profiled["quantizer"], coder=coder),
    )
    yield (
        "UnsupportedError-transform",
        codec(transform={"name": "dst", "block": None}, quantizer=quantizer, coder=coder),
    )
    for what, transform in {
        "option": {"name": "dct"},
        "block-1": {"name": "dct", "block": 1},
        "block-9": {"name": "dct", "block": 9},
        "block-true": {"name": "dct", "block": True},
    }.items():
        stages = {"transform": transform, "quantizer": quantizer, "coder": coder}
        yield f"CorruptError-dct-{what}", codec(**stages)
    dct = {"name": "dct", "block": None}
    yield "CorruptError-transform-last", codec(quantizer=quantizer, coder=coder, transform=dct)
    for text in ("lossless", "uniform(bits=4, axis=0)", "uniform(bits=4, group=2)"):
        stages = {"transform": dct, "quantizer": config(text, "bitpack")["quantizer"]}
        name = "".join(c if c.isalnum() else "-" for c in text).rstrip("-")
        yield f"CorruptError-dct-{name}", codec(**stages, coder=coder)
    block = {"transform": {"name": "dct", "block": 2}} | stepped
    yield "CorruptError-blocks-of-a-vector", single(block, "08 04 00 00 0000")
    yield (
        "CorruptError-blocks-of-wide-rows",
        single(block, "08 01 00 01 01", shape=(2, 2**16 + 1)),
    )
    for what, changed in {
        "default": {"rdo": 0.0},
        "rdo": {"rdo": 1.5},
        "dead-zone": {"dead_zone": 0.75},
        "order": {"profile": True, "rdo": 0.5},
        "profile": {"profile": 1},
        "unknown": {"later": 1},
    }.items():
        yield f"CorruptError-option-1.1-{what}", codec(quantizer=quantizer | changed, coder=coder)
    yield (
        "CorruptError-rdo-without-step",
        codec(quantizer=plain["quantizer"] | {"rdo": 0.5}, coder=coder),
    )
    yield "LimitError-packed-table-bomb", pack(b"\xff\xff\x7f\x01\x00")
    yield "LimitError-packed-table-of-2^28", pack(b"\x81\x80\x80\x80\x01\x01\x00")
    yield "CorruptError-packed-table-trailing-byte", pack(forge.pack_table(b"") + b"\0")
    yield "CorruptError-packed-table-mode", pack(b"\x05\x03" + bytes(5))
    yield "CorruptError-packed-table-length", pack(b"\x85\x00\x00" + bytes(5))
    yield "TruncatedError-packed-table", pack(b"\x05\x00" + bytes(4))


def without_record(plain, pair):
    parts = forge.take_apart(forge.shared_file(plain, [(4,), (4,)], 12, pair))
    parts.table = forge.build_table(parts)[:-9]
    return forge.put_together(parts)
