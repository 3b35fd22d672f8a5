"""The tensor table, entry by entry, from bytes written by hand: what is taken, what is refused."""

import forge
import hostile
import numpy as np
import pytest
import reference

import qcodec
from qcodec import CorruptError, LimitError, TruncatedError, UnsupportedError

HASH = bytes(8)
ENTRY = b"\x00\x01a" + b"\x01\x00" + b"\x00" + b"\x02" + HASH  # "a", U8, scalar, codec 0, one chunk


def open_table(table, n_tensors=1, chunks=b"\x01\x07", minor=0):
    """Keys and shapes that the engine finds; the reference must find the same, or refuse too."""
    parts = forge.take_apart(hostile.small_file("lossless | bitpack"))
    parts.rows = [forge.Row(b"", 1, [], 0, [chunks])] if chunks else []
    parts.table, parts.n_tensors, parts.minor = table, n_tensors, minor
    data = forge.put_together(parts)
    try:
        with qcodec.safe_open(data) as f:
            found = {name: tuple(f.get_shape(name)) for name in f.keys()}  # noqa: SIM118
    except qcodec.QCodecError:
        with pytest.raises(reference.RejectedError):
            reference.open_file(data)
        raise
    assert {t.name: t.shape for t in reference.open_file(data).tensors.values()} == found
    return found


def test_plain_entry_is_taken():
    assert open_table(ENTRY) == {"a": ()}


def entry(name=b"\x00\x01a", dtype=1, dims=b"\x00", codec=b"\x00", chunks=b"\x02" + HASH):
    return name + bytes([dtype]) + dims + codec + chunks


LONGEST = b"\x80\x20"  # 4096
MANY = b"\xff" * 8 + b"\x7f"  # 2^63 - 1


@pytest.mark.parametrize(
    ("table", "error"),
    [
        # varints
        (entry(name=b"\x80\x00\x01a"), CorruptError),  # a zero in two bytes
        (entry(name=b"\x00\x81\x00a"), CorruptError),  # a one in two bytes
        (entry(name=b"\x00" + b"\xff" * 9 + b"\x01a"), CorruptError),  # ten bytes
        (entry(name=b"\x00" + b"\x80" * 50), CorruptError),  # without end
        (entry(codec=b"\x80\x00"), CorruptError),
        (entry(chunks=b"\x82\x00" + HASH), CorruptError),
        # names
        (entry(name=b"\x01\x01a"), CorruptError),  # shares a byte with nothing
        (entry(name=MANY + b"\x01a"), CorruptError),
        (entry(name=b"\x00" + MANY + b"a"), LimitError),
        (entry(name=b"\x00\x81\x20" + b"a" * 4097), LimitError),
        (entry(name=b"\x00\x02a"), CorruptError),  # the dtype becomes part of the name
        (entry(name=b"\x00\x01\xff"), CorruptError),
        (entry(name=b"\x00\x02\xc0\x80"), CorruptError),  # an overlong NUL
        (entry(name=b"\x00\x03\xed\xa0\x80"), CorruptError),  # a surrogate
        # dtype, rank, dims, codec
        (entry(dtype=8), UnsupportedError),
        (entry(dtype=17), UnsupportedError),
        (entry(dtype=255), UnsupportedError),
        (entry(dims=b"\x21" + b"\x01" * 33), LimitError),
        (entry(dims=b"\xff" + b"\x01" * 255), LimitError),
        (entry(dims=b"\x01" + MANY), LimitError),
        (entry(dims=b"\x02" + b"\x80\x80\x80\x80\x10" * 2, chunks=b""), LimitError),  # 2^32 * 2^32
        (entry(dims=b"\x03\x00" + b"\x80\x80\x80\x80\x10" * 2, chunks=b""), LimitError),  # and 0
        (entry(dims=b"\x20" + b"\x04" * 32), LimitError),  # 2^64 = 0 modulo 2^64
        (entry(codec=b"\x01"), CorruptError),
        (entry(codec=MANY), CorruptError),
        # chunks
        (entry(chunks=b"\x00" + HASH), CorruptError),
        (entry(chunks=b"\x01" + HASH), CorruptError),  # one byte is left over
        (entry(chunks=b"\x03" + HASH), CorruptError),  # one too many
        (entry(chunks=b"\x81\x80\x80\x80\x10" + HASH), CorruptError),  # 2^32 + 1
        (entry(dims=b"\x01\x80\x80\x80\x80\x80\x80\x40", chunks=b"\x02" + HASH), TruncatedError),
        (entry(dims=b"\x01\x81\x80\x40"), TruncatedError),  # 2^20 + 1 elements have two chunks
        # the end
        (ENTRY + b"\x00", CorruptError),
        (ENTRY[:-1], TruncatedError),
        (ENTRY[:1], TruncatedError),
        (b"", TruncatedError),
    ],
    ids=lambda value: value.hex()[:60] if isinstance(value, bytes) else "",
)
def test_entry_that_no_writer_writes_is_refused(table, error):
    with pytest.raises(error):
        open_table(table)


# ---- places of 1.1: 4 * codec + kind

RECORD = b"\x02" + HASH


def joins(place, name=b"\x00\x01a", dims=b"\x00", record=b""):
    return entry(name=name, dims=dims, codec=place, chunks=record)


@pytest.mark.parametrize(
    ("table", "n_tensors", "names"),
    [
        (ENTRY, 1, "a"),
        (joins(b"\x01") + RECORD, 1, "a"),  # left open
        (joins(b"\x02", record=RECORD), 1, "a"),  # opened and closed by one
        (joins(b"\x01") + joins(b"\x02", b"\x00\x01b", record=RECORD), 2, "ab"),
        (joins(b"\x01") + joins(b"\x01", b"\x00\x01b") + RECORD, 2, "ab"),
    ],
)
def test_tensor_may_have_chunks_of_its_own_or_share_one(table, n_tensors, names):
    assert list(open_table(table, n_tensors, minor=1)) == list(names)


@pytest.mark.parametrize(
    ("table", "n_tensors", "error"),
    [
        (joins(b"\x03"), 1, CorruptError),  # no such kind
        (joins(b"\x03", record=RECORD), 1, CorruptError),
        (joins(b"\x04", record=RECORD), 1, CorruptError),  # codec 1 of 1
        (joins(b"\x05") + RECORD, 1, CorruptError),
        (joins(b"\x01"), 1, TruncatedError),  # the record of the chunk is missing
        (joins(b"\x02"), 1, TruncatedError),
        (joins(b"\x01") + RECORD + RECORD, 1, CorruptError),
        (joins(b"\x02", record=RECORD) + RECORD, 1, CorruptError),  # nothing is left open
        (joins(b"\x01", dims=b"\x01\x00") + RECORD, 1, CorruptError),  # no element
        (joins(b"\x02", dims=b"\x01\x00", record=RECORD), 1, CorruptError),
        (joins(b"\x01", dims=b"\x01\x81\x80\x40") + RECORD, 1, CorruptError),  # 2^20 + 1
        (  # 2^20 and one more
            joins(b"\x01", dims=b"\x01\x80\x80\x40") + joins(b"\x01", b"\x00\x01b") + RECORD,
            2,
            CorruptError,
        ),
        (joins(b"\x01") + b"\x00" + HASH, 1, CorruptError),  # a chunk of no byte
        (joins(b"\x01") + b"\x01" + HASH, 1, CorruptError),  # a byte is left over
        (joins(b"\x01") + b"\x03" + HASH, 1, CorruptError),  # one too many
    ],
    ids=lambda value: value.hex()[:60] if isinstance(value, bytes) else "",
)
def test_share_that_no_writer_writes_is_refused(table, n_tensors, error):
    with pytest.raises(error):
        open_table(table, n_tensors, minor=1)


@pytest.mark.parametrize("n_elements", [2**20, 2**19])
def test_shared_chunk_holds_up_to_2_20_elements(n_elements):
    first = b"\x01" + forge.varint(n_elements)
    second = b"\x01" + forge.varint(2**20 - n_elements)
    table = joins(b"\x01", dims=first)
    if n_elements < 2**20:
        table += joins(b"\x01", b"\x00\x01b", dims=second)
    names = open_table(table + RECORD, 1 + (n_elements < 2**20), minor=1)
    assert sum(shape[0] for shape in names.values()) == 2**20


def test_name_of_equal_bytes_fits_into_a_packed_table(tmp_path):
    # What packs best: the bound on the packed form must hold for all that a writer writes.
    names = [letter * 4096 for letter in "abcdefgh"]
    path = tmp_path / "m.qc"
    qcodec.save_file({name: np.ones(2, np.uint8) for name in names[:1]}, path)
    assert list(qcodec.load_file(path)) == names[:1]
    qcodec.save_file({name: np.ones(2, np.uint8) for name in names}, path)
    assert list(qcodec.load_file(path)) == names


def test_shapes_of_equal_bytes_fit_into_a_packed_table(tmp_path):
    path = tmp_path / "m.qc"
    tensors = {str(k): np.ones((1,) * 32, np.uint8) for k in range(300)}
    qcodec.save_file(tensors, path)
    assert list(qcodec.load_file(path)) == list(tensors)


def test_two_tensors_of_one_name_are_refused():
    second = b"\x01\x00" + ENTRY[3:]  # shares the whole name "a"
    with pytest.raises(CorruptError, match="two tensors are called 'a'"):
        open_table(ENTRY + second, 2, b"\x01\x07" * 2)


def test_names_that_share_all_but_their_ends_are_taken():
    second = b"\x01\x01b" + ENTRY[3:]
    assert open_table(ENTRY + second, 2, b"\x01\x07" * 2) == {"a": (), "ab": ()}


@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        (b"\x01\x00", (0,)),
        (b"\x02\x00" + b"\x80\x80\x80\x80\x80\x80\x40", (0, 2**48)),
        (b"\x20" + b"\x01" * 31 + b"\x00", (1,) * 31 + (0,)),
    ],
)
def test_empty_shape_needs_no_chunk(dims, shape):
    assert open_table(entry(dims=dims, chunks=b""), chunks=b"") == {"a": shape}


def test_longest_name_is_taken():
    name = b"x" * 4096
    assert open_table(entry(name=b"\x00" + LONGEST + name)) == {name.decode(): ()}


def test_file_without_tensors_is_taken():
    parts = forge.take_apart(hostile.small_file("lossless | bitpack"))
    parts.rows, parts.json = [], b"{}"
    with qcodec.safe_open(forge.put_together(parts)) as f:
        assert f.keys() == []
        with pytest.raises(KeyError, match="no tensor 'a'"):
            f.get_tensor("a")


@pytest.mark.parametrize(
    "name",
    ["", "\0", "../../etc/passwd", "/dev/null", "a\nb", "\u202egnp", "é", "e\u0301", "\U0001f600"],
)
def test_name_is_data_and_never_a_path(tmp_path, name):
    w = np.ones((2, 2), np.float32)
    qcodec.save_file({name: w, "other": w + 1}, tmp_path / "m.qc")
    assert list(qcodec.load_file(tmp_path / "m.qc")) == [name, "other"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.qc"]


@pytest.mark.parametrize(
    ("name", "error"),
    [("x" * 4097, LimitError), ("é" * 2049, LimitError), ("\ud800", qcodec.InputError)],
)
def test_name_that_no_file_can_hold_is_refused_before_anything_is_written(tmp_path, name, error):
    with pytest.raises(error):
        qcodec.save_file({"ok": np.ones(3), name: np.ones(3)}, tmp_path / "m.qc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["key", "value"])
def test_metadata_must_be_valid_text(tmp_path, key):
    metadata = {"\ud800": "x"} if key == "key" else {"x": "\ud800"}
    with pytest.raises(qcodec.InputError, match="not valid Unicode"):
        qcodec.save_file({}, tmp_path / "m.qc", metadata=metadata)
    with pytest.raises(qcodec.InputError, match="metadata must map str to str"):
        qcodec.save_file({}, tmp_path / "m.qc", metadata={"x": 1})
    assert list(tmp_path.iterdir()) == []
