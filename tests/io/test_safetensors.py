"""The safetensors reader: what it gives, and the hostile headers that it refuses."""

import json
import os
import struct

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from qcodec.errors import (
    CorruptError,
    InputError,
    LimitError,
    QCodecError,
    TruncatedError,
    UnsafePathError,
    UnsupportedError,
)
from qcodec.io import TensorInfo, open_source
from qcodec.io.safetensors import SafetensorsSource, canonical_header, restored_header, write


def build(folder, header, data=b"", *, length=None):
    """A file of a header (an object, or its bytes) and data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def refused(folder, error, match, header, data=b"", **options):
    path = build(folder, header, data, **options)
    with pytest.raises(error, match=match) as caught:
        SafetensorsSource(path)
    assert type(caught.value) is error
    assert str(path) in str(caught.value)


def test_tensors_are_read_as_the_safetensors_package_reads_them(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
        "half": np.array([1, -2], np.float16),
        "flags": np.array([True, False, True]),
        "counts": np.array([-(2**63), 5], np.int64),
        "scalar": np.array(2.5, np.float64),
        "empty": np.zeros((3, 0), np.float32),
    }
    save_file(tensors, path, metadata={"format": "np"})
    expected = load_file(path)
    with open_source(path) as source:
        assert {info.name for info in source.tensors} == set(tensors)
        assert source.metadata == {"format": "np"}
        assert source.file_bytes == path.stat().st_size
        for info in source.tensors:
            array = source.read(info.name)
            assert array.dtype == expected[info.name].dtype
            assert array.shape == info.shape
            np.testing.assert_array_equal(array, expected[info.name])


@pytest.mark.parametrize(
    ("dtype", "numpy_dtype"),
    [
        ("BF16", ml_dtypes.bfloat16),
        ("F8_E4M3", ml_dtypes.float8_e4m3fn),
        ("F8_E5M2", ml_dtypes.float8_e5m2),
        ("C64", np.complex64),
    ],
)
def test_dtypes_beyond_numpy_have_their_own_types(tmp_path, dtype, numpy_dtype):
    values = np.array([1.5, -2]).astype(numpy_dtype)
    path = build(tmp_path, {"x": tensor(dtype, [2], 0, values.nbytes)}, values.tobytes())
    with SafetensorsSource(path) as source:
        array = source.read("x")
    assert array.dtype == numpy_dtype
    assert array.tobytes() == values.tobytes()


def test_tensors_come_in_the_order_of_their_data(tmp_path):
    header = {"b": tensor("U8", [1], 1, 2), "a": tensor("U8", [1], 0, 1)}
    with SafetensorsSource(build(tmp_path, header, b"\x07\x09")) as source:
        assert [info.name for info in source.tensors] == ["a", "b"]
        assert (source.read("a")[0], source.read("b")[0]) == (7, 9)


def test_an_array_that_was_read_outlives_the_file(tmp_path):
    with SafetensorsSource(build(tmp_path, {"a": tensor("U8", [1], 0, 1)}, b"\x07")) as source:
        array = source.read("a")
    array[0] += 1
    assert array[0] == 8


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"z": "ü\n\x01", "a": '"\\/'}])
def test_headers_of_the_safetensors_package_are_canonical(tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    save_file({"b": np.zeros(3, np.float32), "ä\t": np.zeros(1, np.int64)}, path, metadata=metadata)
    with SafetensorsSource(path) as source:
        assert source.origin(verbatim=True) == {"format": "safetensors"}


def test_a_header_of_another_shape_is_kept_as_it_is(tmp_path):
    raw = b'{"a": {"shape": [1], "dtype": "U8", "data_offsets": [0, 1]}}   '
    with SafetensorsSource(build(tmp_path, raw, b"x")) as source:
        assert source.origin(verbatim=True) == {"format": "safetensors", "header": raw.decode()}
        assert source.origin(verbatim=False) == {"format": "safetensors"}


def test_what_is_written_is_read_by_the_safetensors_package(tmp_path):
    infos = [
        TensorInfo("w", "F32", (2,)),
        TensorInfo("none", "I8", (0,)),
        TensorInfo("s", "U8", ()),
    ]
    arrays = [np.array([1, 2], np.float32), np.zeros(0, np.int8), np.array(3, np.uint8)]
    path = tmp_path / "out.safetensors"
    assert write(path, canonical_header(infos, {"k": "v"}), iter(arrays)) == path.stat().st_size
    loaded = load_file(path)
    assert {name: value.tolist() for name, value in loaded.items()} == {
        "w": [1.0, 2.0], "none": [], "s": 3,
    }  # fmt: skip


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.safetensors"
    path.write_bytes(b"old")

    def arrays():
        yield np.zeros(2, np.uint8)
        raise CorruptError("damaged")

    infos = [TensorInfo("a", "U8", (2,)), TensorInfo("b", "U8", (2,))]
    with pytest.raises(CorruptError):
        write(path, canonical_header(infos, {}), arrays())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.safetensors"]


def test_the_name_of_the_metadata_is_no_tensor_name():
    with pytest.raises(InputError, match="__metadata__"):
        canonical_header([TensorInfo("__metadata__", "U8", (1,))], {})


@pytest.mark.parametrize(
    ("tensors", "metadata"),
    [
        ([TensorInfo("b", "U8", (1,))], {"k": "v"}),
        ([TensorInfo("a", "I8", (1,))], {"k": "v"}),
        ([TensorInfo("a", "U8", (1, 1))], {"k": "v"}),
        ([TensorInfo("a", "U8", (2,))], {"k": "v"}),
        ([], {"k": "v"}),
        ([TensorInfo("a", "U8", (1,))], {"k": "w"}),
    ],
)
def test_a_kept_header_must_be_that_of_the_tensors(tensors, metadata):
    text = '{"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    assert restored_header(text, [TensorInfo("a", "U8", (1,))], {"k": "v"}) == text.encode()
    with pytest.raises(CorruptError):
        restored_header(text, tensors, metadata)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": np.arange(3, dtype=np.int16)}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(TruncatedError):
            SafetensorsSource(path)


def test_a_file_that_shrinks_while_open_is_an_error_and_no_signal(tmp_path):
    path = build(tmp_path, {"a": tensor("U8", [9000], 0, 9000)}, bytes(9000))
    with SafetensorsSource(path) as source:
        os.truncate(path, 100)
        with pytest.raises(TruncatedError, match=r"'a'.*became shorter"):
            source.read("a")


A = b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"{" + A + b"," + A + b"}", "duplicate key 'a'"),
        (b'{"__metadata__":{"k":"1","k":"2"},' + A + b"}", "duplicate key 'k'"),
        (b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "duplicate key"),
        (b" {" + A + b"}", "begins with {"),
        (b"\xef\xbb\xbf{" + A + b"}", "begins with {"),
        (b"{" + A + b"}\n", "only spaces"),
        (b"{" + A, "JSON"),
        (b"{" + A + b"}}", "JSON"),
        (b'{"\xff":1}', "byte 10: invalid UTF-8"),
        (b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', "surrogate"),
        (b'{"a":' * 100_000 + b"}" * 100_000, "nested|JSON"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":' + b"9" * 5000 + b"}", "header"),
        (b'{"a":1}', "object of dtype"),
        (b'{"a":{"dtype":"U8","shape":[1]}}', "object of dtype"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":0}}', "object of dtype"),
        (b'{"a":{"dtype":3,"shape":[1],"data_offsets":[0,1]}}', "must be"),
        (b'{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', "must be"),
        (b'{"a":{"dtype":"U8","shape":[true],"data_offsets":[0,1]}}', "must be"),
        (b'{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', "must be"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}}', "must be"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}', "must be two"),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}', "hold -1 bytes"),
        (b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}}', "hold 1 bytes"),
        (b'{"__metadata__":{"k":1},' + A + b"}", "object of strings"),
        (b'{"__metadata__":null,' + A + b"}", "object of strings"),
        (b"{}", "1 bytes follow"),
    ],
)
def test_headers_that_break_a_rule_are_corrupt(tmp_path, raw, match):
    refused(tmp_path, CorruptError, match, raw, b"x")


def test_data_must_be_covered_without_gap_or_overlap(tmp_path):
    gap = {"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}
    refused(tmp_path, CorruptError, "'b'.*gap", gap, b"xyz")
    overlap = {"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}
    refused(tmp_path, CorruptError, "'b'.*overlaps", overlap, b"xyz")
    shared = {"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 0, 2)}
    refused(tmp_path, CorruptError, "'b'.*overlaps", shared, b"xy")
    refused(tmp_path, CorruptError, "1 bytes follow", {"a": tensor("U8", [1], 0, 1)}, b"xy")


def test_absurd_sizes_are_refused_before_anything_is_allocated(tmp_path):
    refused(tmp_path, LimitError, "header of 9223372036854775808", b"{}", length=2**63)
    refused(tmp_path, LimitError, "limit 100000000", b"{}", length=100_000_001)
    refused(tmp_path, TruncatedError, "header of 1000 bytes", b"{}", length=1000)
    refused(tmp_path, LimitError, "elements", {"a": tensor("U8", [2**40, 2**40], 0, 1)}, b"x")
    refused(tmp_path, LimitError, "elements", {"a": tensor("U8", [0, 2**63], 0, 0)})
    refused(tmp_path, LimitError, "rank 33", {"a": tensor("U8", [1] * 33, 0, 1)}, b"x")
    refused(tmp_path, TruncatedError, "bytes of data", {"a": tensor("U8", [2**40], 0, 2**40)}, b"x")


@pytest.mark.parametrize("dtype", ["F4", "F8_E8M0", "I1024", "f32"])
def test_unknown_dtypes_are_unsupported(tmp_path, dtype):
    refused(
        tmp_path, UnsupportedError, f"'a': dtype '{dtype}'", {"a": tensor(dtype, [2], 0, 1)}, b"x"
    )


def test_a_fifo_in_place_of_a_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(UnsafePathError, match="not a regular file"):
        SafetensorsSource(tmp_path / "model.safetensors")


def test_a_folder_in_place_of_a_file_is_a_system_error(tmp_path):
    with pytest.raises(IsADirectoryError):
        SafetensorsSource(tmp_path)


def test_other_suffixes_are_unsupported(tmp_path):
    with pytest.raises(UnsupportedError, match=r"model\.pt: .*\.safetensors"):
        open_source("model.pt")


def test_no_single_byte_change_of_the_header_escapes_as_another_kind_of_error(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": np.zeros(2, np.float32), "b": np.zeros(1, np.int8)}, path)
    whole = path.read_bytes()
    for at in range(len(whole) - 9):
        for flip in (1, 16, 128):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            try:
                with SafetensorsSource(path) as source:
                    for info in source.tensors:
                        source.read(info.name)
            except QCodecError:
                pass
