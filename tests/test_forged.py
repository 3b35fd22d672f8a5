"""Forged files with correct hashes: engine and reference agree on refusals and on all bytes."""

import functools
import io
import json
import random

import forge
import hostile
import numpy as np
import pytest
import reference
import samples

import qcodec
from qcodec.container.writer import Writer
from qcodec.packing import add_tensor

MUTATIONS = 250  # per codec and kind


def slow_outcome(data):
    """As `hostile.outcome`, by the reference; errors are all `RejectedError`."""
    try:
        file = reference.open_file(data)
    except reference.RejectedError:
        return reference.RejectedError
    out = {}
    for name in [*file.tensors, *file.aliases]:
        try:
            value = file.decode(name)
            out[name] = (value.dtype.name, value.shape, value.tobytes())
        except reference.RejectedError:
            out[name] = reference.RejectedError
    return out


def agree(data):
    """Check that both decoders say the same; returns whether anything was refused."""
    fast, slow = hostile.outcome(data), slow_outcome(data)
    if isinstance(fast, type) or isinstance(slow, type):
        assert isinstance(fast, type) == isinstance(slow, type), (fast, slow)
        return True
    assert list(fast) == list(slow)
    for name in fast:
        refused = [isinstance(side[name], type) for side in (fast, slow)]
        assert refused[0] == refused[1], (name, fast[name], slow[name])
        assert refused[0] or fast[name] == slow[name], name
    return any(isinstance(value, type) for value in fast.values())


@functools.cache
def mixed_file():
    """Several tensors, dtypes and codecs, an alias and metadata."""
    stream = io.BytesIO()
    writer = Writer(stream, {"format": "pt", "note": 'quoted "\\ \n é'})
    for k, (dtype, shape, codec) in enumerate(
        [
            ("F32", (4, 60), "uniform(bits=4, axis=0)"),
            ("F16", (2, 3, 40), "uniform(step=0.01)"),
            ("I64", (70,), "lossless"),
            ("BF16", (70,), "lossless"),
            ("BOOL", (), "lossless"),
            ("F64", (3, 0, 2), "uniform(bits=8, group=7, symmetric=False) | bitpack"),
            ("F8_E4M3", (5, 5), "lossless | bitpack"),
        ]
    ):
        array = samples.tensor(codec, dtype, shape)
        add_tensor(writer, f"blk.{k}.weight", array, qcodec.parse(codec), 1)
    writer.alias("tied", "blk.0.weight")
    writer.finish()
    return stream.getvalue()


def mutate_bytes(rng, data):
    """One to three small wounds."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(8)
        # The first bytes hold the section, modes and tables: half of all wounds go there.
        if rng.random() < 0.5:
            at = min(at, rng.randrange(24))
        if kind <= 2 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 3 and at < len(data):
            data[at] = rng.choice([0, 1, 2, 3, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == 4:
            del data[at : at + rng.choice([1, 1, 2, 8])]
        elif kind == 5:
            data[at:at] = rng.randbytes(rng.choice([1, 1, 2, 8]))
        elif kind == 6:
            del data[max(at, 1) :]
        elif kind == 7 and at < len(data):
            other = rng.randrange(len(data))
            data[at : at + 4] = data[other : other + 4]
    return bytes(data)


def mutate_chunk(rng, parts):
    row = rng.choice([row for row in parts.rows if row.chunks])
    at = rng.randrange(len(row.chunks))
    row.chunks[at] = mutate_bytes(rng, row.chunks[at]) or b"\0"


def mutate_shared(rng, parts):
    """A chunk that is still open, or where there is none, one of those that stand in rows."""
    if not parts.open_chunks:
        mutate_chunk(rng, parts)
        return
    at = rng.randrange(len(parts.open_chunks))
    parts.open_chunks[at] = mutate_bytes(rng, parts.open_chunks[at]) or b"\0"


def mutate_packed(rng, parts):
    """The packed form of the table, as a writer makes it."""
    from qcodec.container.packed import pack_table

    parts.packed = mutate_bytes(rng, pack_table(forge.build_table(parts)))


def mutate_table(rng, parts):
    parts.table = mutate_bytes(rng, forge.build_table(parts))


def mutate_row(rng, parts):
    row = rng.choice(parts.rows)
    kind = rng.randrange(7)
    if kind == 0:
        row.dtype = rng.choice([*range(18), 255])
    elif kind == 1 and row.shape:
        row.shape[rng.randrange(len(row.shape))] += rng.choice([-1, 1, 2, 1000])
        row.shape = [max(dim, 0) for dim in row.shape]
    elif kind == 2:
        row.shape.insert(
            rng.randrange(len(row.shape) + 1), rng.choice([0, 1, 2, 2**20, 2**48, 2**62])
        )
    elif kind == 3 and row.shape:
        row.shape.pop()
    elif kind == 4:
        row.name = rng.choice([b"", b"\0", b"../x", b"\xff", b"tied", "é".encode(), b"x" * 4097])
    elif kind == 5:
        parts.rows.append(forge.Row(b"more", row.dtype, row.shape[:], row.codec, row.chunks[:]))
    else:
        row.codec = rng.randrange(6)
        row.kind = rng.choice([row.kind, 0, 1, 2, 3])


JSON_VALUES = [
    "null", "true", "false", "0", "1", "-1", "2", "3", "8", "9", "16", "17", "-33", "1048577",
    "4.0", "1e2", "0.5", "1e-40", "1e39", "-0.5", "1e999", "NaN", "Infinity", "-Infinity", '""',
    '"x"', "[]", "{}", '"lossless"', '"uniform"', '"huffman"', '"bitpack"', "1" + "0" * 5000,
]  # fmt: skip


def json_values(text):
    """Where each number, string and literal of compact JSON begins and ends."""
    at, spans = 0, []
    while at < len(text):
        end = at + 1
        if text[at] == '"':
            while text[end] != '"':
                end += 1 + (text[end] == "\\")
            spans.append((at, end + 1))
            at = end + 1
            continue
        if text[at] not in "{}[],:":
            while text[end] not in ",]}":
                end += 1
            spans.append((at, end))
        at = end
    return spans


def mutate_json(rng, parts):
    text = parts.json.decode()
    if rng.random() < 0.3:
        parts.json = mutate_bytes(rng, parts.json)
        return
    at, end = rng.choice(json_values(text))
    parts.json = (text[:at] + rng.choice(JSON_VALUES) + text[end:]).encode()


MUTATORS = [mutate_chunk, mutate_table, mutate_row, mutate_json]


@pytest.mark.parametrize("mutate", [*MUTATORS, mutate_shared, mutate_packed])
@pytest.mark.parametrize("codec", hostile.SHARED)
def test_engine_and_reference_agree_on_mutations_of_shared_chunks(codec, mutate):
    rng = random.Random(f"shared {codec} {mutate.__name__}")
    original = forge.take_apart(hostile.shared_file(codec))
    assert not agree(forge.put_together(original))
    refused = 0
    for _ in range(MUTATIONS):
        parts = original.copy()
        mutate(rng, parts)
        refused += agree(forge.put_together(parts))
    assert refused > MUTATIONS // 5


@pytest.mark.parametrize("mutate", MUTATORS)
@pytest.mark.parametrize("codec", [*hostile.CODECS, "mixed"])
def test_engine_and_reference_agree_on_mutations(codec, mutate):
    rng = random.Random(f"{codec} {mutate.__name__}")
    original = forge.take_apart(mixed_file() if codec == "mixed" else hostile.small_file(codec))
    assert not agree(forge.put_together(original))
    refused = 0
    for _ in range(MUTATIONS):
        parts = original.copy()
        mutate(rng, parts)
        refused += agree(forge.put_together(parts))
    # Wounds must reach the parsers behind the hashes, and some must be harmless there.
    assert refused > MUTATIONS / 20
    assert refused < MUTATIONS or mutate in (mutate_json, mutate_table)


@pytest.mark.parametrize(
    "codec", [c for c in hostile.CODECS if "uniform(bits=4" in c or "0.3" in c]
)
def test_engine_and_reference_agree_on_every_flipped_bit_of_a_chunk(codec):
    parts = forge.take_apart(hostile.small_file(codec))
    chunk = bytearray(parts.rows[0].chunks[0])
    for at in range(len(chunk)):
        for bit in range(8):
            chunk[at] ^= 1 << bit
            parts.rows[0].chunks[0] = bytes(chunk)
            agree(forge.put_together(parts))
            chunk[at] ^= 1 << bit


def test_engine_and_reference_agree_on_streams_of_several_blocks():
    # 70,000 symbols are two blocks of 65,536; nearly all are zero, so that the payload is small.
    rng = np.random.default_rng(3)
    w = np.zeros(70_000, np.float32)
    w[rng.integers(0, w.size, 600)] = rng.standard_normal(600)
    original = forge.take_apart(qcodec.encode(w, "uniform(bits=8) | huffman"))
    assert not agree(forge.put_together(original))
    source = random.Random(1)
    for _ in range(150):
        parts = original.copy()
        mutate_chunk(source, parts)
        agree(forge.put_together(parts))


# ---- the JSON part, by hand


def with_json(raw):
    parts = forge.take_apart(hostile.small_file("lossless | bitpack"))
    parts.json = raw(parts.json) if callable(raw) else raw
    return forge.put_together(parts)


CODEC = b'"codecs":[{"quantizer":{"name":"lossless"},"coder":{"name":"bitpack"}}]'


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"null", b"{} ", b"{}", b"\xef\xbb\xbf{" + CODEC + b"}",
        b" {" + CODEC + b"}", b"{" + CODEC + b"}\n", b"{ " + CODEC + b"}",
        b"{" + CODEC + b',"metadata":{}}', b'{"aliases":{},' + CODEC + b"}",
        b"{" + CODEC + b',"other":{"a":"b"}}', b'{"metadata":{"a":"b"},' + CODEC + b"}",
        b"{" + CODEC + b"," + CODEC + b"}", b"{" + CODEC[:-1] + b"," + CODEC[10:] + b"}",
        b"{" + CODEC + b',"metadata":{"a":"b","a":"c"}}', b"{" + CODEC + b',"metadata":{"a":1}}',
        b"{" + CODEC + b',"metadata":{"a":null}}', b"{" + CODEC + b',"metadata":["a"]}',
        b"{" + CODEC + b',"metadata":{"a":"\xff"}}', b"{" + CODEC + b',"metadata":{"a":"\\ud800"}}',
        b"{" + CODEC + b',"metadata":{"a":"\\u0041"}}', b"{" + CODEC + b',"metadata":{"a":"\\/"}}',
        b"{" + CODEC + b',"metadata":{"a":"\t"}}',
        b"{" + CODEC + b',"metadata":{"a":"\xed\xa0\x80"}}',
        b"{" + CODEC + b',"source":{"format":"gguf"}}', b"{" + CODEC + b',"source":{"header":"x"}}',
        b"{" + CODEC + b',"source":{"format":"safetensors","x":"y"}}',
        b'{"codecs":[]}', b'{"codecs":{}}', b'{"codecs":[1]}', b'{"codecs":["lossless"]}',
        b'{"codecs":[NaN]}', b'{"codecs":[1e999]}', b'{"codecs":' + b"[" * 17 + b"]" * 17 + b"}",
        b'{"codecs":' + b"[" * 100_000, b'{"aliases":{"x":"none"},' + CODEC + b"}",
        b'{"aliases":{"":""},' + CODEC + b"}", b'{"aliases":{"x":"y","y":""},' + CODEC + b"}",
        b'{"aliases":{"' + b"x" * 4097 + b'":""},' + CODEC + b"}",
    ],
    ids=lambda raw: raw[:60].decode("latin-1") if len(raw) < 200 else f"{len(raw)} bytes",
)  # fmt: skip
def test_index_that_no_writer_writes_is_refused(raw):
    data = with_json(raw)
    assert agree(data)
    assert hostile.outcome(data) in (qcodec.CorruptError, qcodec.LimitError)


@pytest.mark.parametrize(
    "more",
    [
        b',"metadata":{"":"","b":"x","a":"y"}',
        b',"metadata":{"n\\n\\u0001":"\\"\\\\ \xc3\xa9/\x7f"}',
        b',"source":{"format":"safetensors"}', b',"source":{"format":"safetensors","header":"{}"}',
    ],
)  # fmt: skip
def test_index_in_its_one_form_is_taken(more):
    data = with_json(b"{" + CODEC + more + b"}")
    assert not agree(data)
    with qcodec.safe_open(data) as f:
        assert f.metadata() == json.loads(b"{" + CODEC + more + b"}").get("metadata", {})


def nested(depth):
    """A JSON part whose deepest array is nested `depth` deep: object, array, object, arrays."""
    lists = b"[" * (depth - 3) + b"]" * (depth - 3)
    return b'{"codecs":[{"quantizer":' + lists + b"}]}"


def test_nesting_of_16_opens_and_of_17_is_refused():
    # No tensor uses it, so the malformed config is nobody's.
    for depth, refused in ((16, False), (17, True)):
        parts = forge.take_apart(hostile.small_file("lossless | bitpack"))
        parts.rows, parts.json = [], nested(depth)
        assert agree(forge.put_together(parts)) == refused


@pytest.mark.parametrize(
    "config",
    [
        {"quantizer": {"name": "lossless"}},
        {"coder": {"name": "bitpack"}, "quantizer": {"name": "lossless"}},
        {"quantizer": {"name": "lossless"}, "coder": {"name": "bitpack"}, "more": {}},
        {"quantizer": {"name": "lossless", "bits": 8}, "coder": {"name": "bitpack"}},
        {"quantizer": {"name": "lossless", "__class__": "x"}, "coder": {"name": "bitpack"}},
        {"quantizer": {}, "coder": {"name": "bitpack"}},
        {"quantizer": {"name": 1}, "coder": {"name": "bitpack"}},
        {"quantizer": "lossless", "coder": {"name": "bitpack"}},
        {"quantizer": {"name": "uniform", "bits": 4}, "coder": {"name": "bitpack"}},
    ],
    ids=str,
)
def test_config_that_no_writer_writes_is_corrupt(config):
    chunk = forge.take_apart(hostile.small_file("lossless | bitpack")).rows[0].chunks[0]
    data = forge.file_of(config, (4, 60), 12, chunk)
    assert agree(data)
    assert hostile.outcome(data) == {"": qcodec.CorruptError}


def test_error_of_a_config_names_file_and_tensor():
    parts = forge.take_apart(mixed_file())
    parts.json = parts.json.replace(b'"uniform"', b'"future"')
    with (
        qcodec.safe_open(forge.put_together(parts)) as f,
        pytest.raises(qcodec.UnsupportedError, match=r"^blob: tensor 'blk\.0\.weight': .*future"),
    ):
        f.get_tensor("blk.0.weight")


def test_bytes_between_chunks_that_are_not_zero_are_for_verify_to_find():
    # The second chunk has 65,601 bytes, so it begins at the next multiple of 64: 16 + 11 -> 64.
    # Reading a tensor does not look at what lies before it: FORMAT.md, "File".
    parts = forge.take_apart(qcodec.encode(samples.bits("U8", (65_600,)), "lossless | bitpack"))
    parts.rows.insert(0, forge.Row(b"a", 1, [10], 0, [b"\0" + bytes(range(10))]))
    data = bytearray(forge.put_together(parts))
    data[40] = 1
    with qcodec.safe_open(bytes(data)) as f:
        np.testing.assert_array_equal(f.get_tensor("a"), range(10))
        assert f.get_tensor("").shape == (65_600,)


@pytest.mark.parametrize("stage", ["quantizer", "coder"])
def test_unknown_codec_leaves_other_tensors_readable(stage):
    parts = forge.take_apart(mixed_file())
    known = slow_outcome(forge.put_together(parts))
    name = b"uniform" if stage == "quantizer" else b"bitpack"
    parts.json = parts.json.replace(b'"' + name + b'"', b'"future"')
    data = forge.put_together(parts)
    agree(data)
    result = hostile.outcome(data)
    unknown = [name for name in result if result[name] is qcodec.UnsupportedError]
    assert 2 <= len(unknown) < len(result)
    for name in set(result) - set(unknown):
        assert result[name] == known[name]
    with qcodec.safe_open(data) as f:
        assert f.get_shape(unknown[0]) == list(known[unknown[0]][1])
