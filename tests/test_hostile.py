"""Damaged and foreign files: an error of our family, or the right values; never anything else."""

import os
import struct
import time

import forge
import hostile
import numpy as np
import pytest

import qcodec
from qcodec import CorruptError, LimitError, TruncatedError, UnsafePathError, UnsupportedError

ARRAY = np.random.default_rng(4).standard_normal((3, 100)).astype(np.float32)


@pytest.mark.parametrize("codec", hostile.CODECS)
def test_every_truncation_is_refused(codec):
    blob = hostile.small_file(codec)
    for end in range(len(blob)):
        with pytest.raises(TruncatedError):
            qcodec.decode(blob[:end])


@pytest.mark.parametrize("codec", hostile.CODECS)
def test_every_flipped_bit_is_refused(codec):
    # All bytes are under a hash or are compared, so no flip may even go unnoticed.
    blob = bytearray(hostile.small_file(codec))
    for at in range(len(blob)):
        for bit in range(8):
            blob[at] ^= 1 << bit
            result = hostile.outcome(bytes(blob))
            refused = result if isinstance(result, type) else result[""]
            assert isinstance(refused, type), (at, bit)
            blob[at] ^= 1 << bit


@pytest.mark.parametrize(
    "tail", [b"\0", b"\n", bytes(4096), hostile.small_file("lossless | huffman")]
)
def test_appended_bytes_are_refused(tail):
    # A whole second file behind the first is found by its offsets: it is not at byte 0.
    with pytest.raises(CorruptError):
        qcodec.decode(hostile.small_file("lossless | bitpack") + tail)


def test_prepended_bytes_are_refused():
    with pytest.raises(CorruptError):
        qcodec.decode(b"#!/bin/sh\n" + hostile.small_file("lossless | bitpack"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04" + bytes(200), "zip"),
        (b"GGUF\x03\0\0\0" + bytes(200), "GGUF"),
        (b"\x80\x02}q\0." + bytes(200), "pickle"),
        (b"\x80\x04\x95" + bytes(200), "pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "HDF5"),
        (b"\x28\xb5\x2f\xfd" + bytes(200), "zstd"),
        (struct.pack("<Q", 64) + b'{"a":{"dtype":"F32"}}' + bytes(200), "safetensors"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "wrong magic"),
        (b"hello, world\n" * 30, "wrong magic"),
        (b"\x89QCF\n\x1a\n" + bytes(200), "wrong magic"),  # as a text-mode transfer leaves it
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_file_of_another_format_is_called_by_its_name(data, what):
    with pytest.raises(CorruptError, match=what):
        qcodec.decode(data)


def test_empty_file_is_truncated():
    with pytest.raises(TruncatedError, match="empty"):
        qcodec.decode(b"")


# ---- versions


@pytest.mark.parametrize(
    ("major", "minor", "features"),
    [(2, 0, 0), (1, 2, 0), (1, 255, 0), (0, 9, 0), (1, 0, 1), (1, 1, 1)],
)
def test_newer_version_or_unknown_feature_is_unsupported(major, minor, features):
    blob = bytearray(hostile.small_file("lossless | bitpack"))
    struct.pack_into("<HHI", blob, 8, major, minor, features)
    with pytest.raises(UnsupportedError):
        qcodec.decode(bytes(blob))


def test_trailer_of_another_version_than_the_header_is_corrupt():
    blob = hostile.small_file("lossless | bitpack")
    start, head, table, tensors, _, _, digest = struct.unpack("<QIIIHHQ", blob[-48:-16])
    forged = blob[:-48] + forge.trailer(start, head, table, tensors, digest, minor=0)
    with pytest.raises(CorruptError, match="version"):
        qcodec.decode(forged)


# ---- lengths that promise too much


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"start": 2**63}, CorruptError),
        ({"start": 2**64 - 48}, CorruptError),
        ({"start": 0}, CorruptError),
        ({"start": 15}, CorruptError),
        ({"json_bytes": 2**28 + 1}, LimitError),
        ({"table_bytes": 2**32 - 1}, LimitError),
        ({"table_bytes": 2**28}, CorruptError),
        ({"n_tensors": 2**20 + 1}, LimitError),
        ({"n_tensors": 2**20}, TruncatedError),
        ({"n_tensors": 0}, CorruptError),
    ],
    ids=str,
)
def test_length_bomb_is_refused(change, error):
    blob = hostile.small_file("lossless | bitpack")
    fields = dict(
        zip(
            ("start", "json_bytes", "table_bytes", "n_tensors", "major", "minor", "digest"),
            struct.unpack("<QIIIHHQ", blob[-48:-16]),
            strict=True,
        )
    )
    with pytest.raises(error):
        qcodec.decode(blob[:-48] + forge.trailer(**(fields | change)))


def test_decoded_bytes_are_bounded_by_the_caller(tmp_path):
    # 2^20 equal elements in a few bytes a chunk: small files may be large legally.
    path = tmp_path / "zeros.qc"
    qcodec.save_file({"a": np.zeros(2**22, np.uint8), "b": np.zeros(9, np.uint8)}, path)
    assert path.stat().st_size < 400
    with pytest.raises(LimitError, match="4194313 decoded bytes"):
        qcodec.load_file(path, max_decoded_bytes=2**22)
    assert sorted(qcodec.load_file(path, max_decoded_bytes=2**22 + 9)) == ["a", "b"]
    with qcodec.safe_open(path, max_decoded_bytes=1000) as f:
        with pytest.raises(LimitError, match="tensor 'a'"):
            f.get_tensor("a")
        assert f.get_slice("a")[5:7].tolist() == [0, 0]
        assert f.get_tensor("b").size == 9


# ---- chunks in another's place


def test_chunks_of_two_tensors_cannot_be_swapped():
    data = hostile.two_tensors()
    parts = forge.take_apart(data)
    a, b = (row.chunks[0] for row in parts.rows)
    assert len(a) == len(b)
    assert data[16:].startswith(a + b)
    swapped = data[:16] + b + a + data[16 + len(a + b) :]
    with qcodec.safe_open(swapped) as f:
        for name in ("a", "b"):
            with pytest.raises(CorruptError, match="hash"):
                f.get_tensor(name)


@pytest.mark.parametrize("change", ["tensor", "chunk", "codec"])
def test_hash_binds_a_chunk_to_tensor_place_and_codec(change):
    parts = forge.take_apart(hostile.two_tensors())
    table = forge.build_table(parts)
    moved = parts.copy()
    if change == "codec":
        moved.json = moved.json.replace(b'"bitpack"', b'"huffman"')
    else:
        moved.rows.reverse()
    # The entries of the table, hashes included, as they were; only what they are bound to differs.
    if change == "chunk":
        moved.rows = [parts.rows[0], parts.rows[0]]
        moved.rows[1].name = b"b"
    moved.table = table
    result = hostile.outcome(forge.put_together(moved))
    assert CorruptError in result.values()


def test_error_names_file_tensor_chunk_and_byte(tmp_path):
    path = tmp_path / "model.qc"
    qcodec.save_file({"blk.0.w": ARRAY}, path)
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with (
        qcodec.safe_open(path) as f,
        pytest.raises(CorruptError, match=r"model\.qc: tensor 'blk\.0\.w': .* byte 16: "),
    ):
        f.get_tensor("blk.0.w")


@pytest.mark.parametrize(
    ("verify", "refused"), [("always", [1, 1]), ("first", [1, 1]), ("never", [0, 0])]
)
def test_verify_says_whether_hashes_are_checked(verify, refused):
    # The flipped bit is in a stored mantissa: without the hash it only changes a value.
    blob = bytearray(qcodec.encode(ARRAY, "lossless | bitpack"))
    blob[16 + 1000] ^= 1
    seen = []
    with qcodec.safe_open(bytes(blob), verify=verify) as f:
        for _ in range(2):
            try:
                f.get_tensor("")
                seen.append(0)
            except CorruptError:
                seen.append(1)
    assert seen == refused


def test_verify_first_checks_a_tensor_once(tmp_path):
    path = tmp_path / "m.qc"
    qcodec.save_file({"a": ARRAY}, path, "lossless | bitpack")
    with qcodec.safe_open(path, verify="first") as f:
        f.get_tensor("a")
        with open(path, "r+b") as changed:
            changed.seek(16 + 1000)
            changed.write(b"\xff")
        f.get_tensor("a")
    with qcodec.safe_open(path, verify="first") as f, pytest.raises(CorruptError):
        f.get_tensor("a")


# ---- what stands in place of a file, and what changes under it


def test_fifo_is_refused_without_waiting(tmp_path):
    path = tmp_path / "pipe.qc"
    os.mkfifo(path)
    with pytest.raises(UnsafePathError, match="not a regular file"):
        qcodec.load_file(path)


@pytest.mark.parametrize("place", [".", "/dev/null", "/dev/zero"])
def test_directory_or_device_is_refused(tmp_path, place):
    with pytest.raises(UnsafePathError, match="not a regular file"):
        qcodec.load_file(tmp_path / place)


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        qcodec.load_file(tmp_path / "none.qc")


def test_symbolic_link_to_a_file_is_followed(tmp_path):
    # The caller named it; only paths that come out of files are held to their folder.
    qcodec.save_file({"a": ARRAY}, tmp_path / "real.qc")
    (tmp_path / "link.qc").symlink_to("real.qc")
    np.testing.assert_array_equal(qcodec.load_file(tmp_path / "link.qc")["a"], ARRAY)


@pytest.mark.parametrize("left", [0, 16, 500])
def test_file_that_shrinks_while_open_is_truncated(tmp_path, left):
    path = tmp_path / "m.qc"
    qcodec.save_file({"a": ARRAY}, path)
    with qcodec.safe_open(path) as f:
        os.truncate(path, left)
        with pytest.raises(TruncatedError, match="the file ends inside"):
            f.get_tensor("a")


def test_file_that_is_overwritten_while_open_is_corrupt(tmp_path):
    path = tmp_path / "m.qc"
    qcodec.save_file({"a": ARRAY}, path)
    with qcodec.safe_open(path) as f:
        with open(path, "r+b") as changed:
            changed.seek(20)
            changed.write(bytes(100))
        with pytest.raises(CorruptError):
            f.get_tensor("a")


def test_file_that_is_replaced_while_open_still_gives_its_own_values(tmp_path):
    path = tmp_path / "m.qc"
    qcodec.save_file({"a": ARRAY}, path)
    with qcodec.safe_open(path) as f:
        qcodec.save_file({"a": -ARRAY}, path)
        np.testing.assert_array_equal(f.get_tensor("a"), ARRAY)


# ---- many names


def many(n_names):
    parts = forge.take_apart(hostile.small_file("lossless | bitpack"))
    chunk = b"\1\7"  # one U8, the constant 7
    parts.rows = [forge.Row(b"%07d" % k, 1, [], 0, [chunk]) for k in range(n_names)]
    return forge.put_together(parts)


def seconds_to_open(data):
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        with qcodec.safe_open(data) as f:
            assert len(f) > 0
        best = min(best, time.perf_counter() - start)
    return best


def test_table_of_100000_names_opens_in_linear_time():
    small, large = many(12_500), many(100_000)
    assert seconds_to_open(large) < 8 * 4 * seconds_to_open(small)
    with qcodec.safe_open(large) as f:
        assert f.get_tensor("0099999") == 7


@pytest.mark.parametrize("piece", ['\\"', "[", '"', "\\", "{", '["', '"[', "1", "e"])
def test_broken_json_is_refused_in_linear_time(piece):
    parts = forge.take_apart(hostile.small_file("lossless | bitpack"))
    parts.json = b'{"metadata":{"' + piece.encode() * 200_000
    start = time.perf_counter()
    with pytest.raises(CorruptError):
        qcodec.decode(forge.put_together(parts))
    assert time.perf_counter() - start < 5
