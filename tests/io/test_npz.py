"""The .npz reader and writer."""

import io
import os
import zipfile

import numpy as np
import pytest

from qcodec.errors import (
    CorruptError,
    InputError,
    QCodecError,
    TruncatedError,
    UnsupportedError,
)
from qcodec.io import TensorInfo, open_source
from qcodec.io.npz import NpzSource, write


def npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


def archive(path, *members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as out:
        for name, data in members:
            out.writestr(name, data)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_numpy_saved_them(tmp_path, save):
    path = tmp_path / "model.npz"
    tensors = {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float16).reshape(2, 3)),
        "big_endian": np.array([1, 256], ">i4"),
        "flags": np.array([True, False]),
        "scalar": np.array(2.5),
        "empty": np.zeros((3, 0), np.int64),
    }
    save(path, **tensors)
    with open_source(path) as source:
        assert list(source.tensors) == [
            ("matrix", "F32", (2, 3)),
            ("fortran", "F16", (2, 3)),
            ("big_endian", "I32", (2,)),
            ("flags", "BOOL", (2,)),
            ("scalar", "F64", ()),
            ("empty", "I64", (3, 0)),
        ]
        for name, expected in tensors.items():
            np.testing.assert_array_equal(source.read(name), expected)


def test_what_is_written_is_read_by_numpy(tmp_path):
    path = tmp_path / "out.npz"
    infos = [
        TensorInfo("layer/w", "F32", (2,)),
        TensorInfo("n", "I64", ()),
        TensorInfo("e", "U8", (0,)),
    ]
    arrays = [np.array([1, 2], np.float32), np.array(7), np.zeros(0, np.uint8)]
    assert write(path, infos, iter(arrays)) == path.stat().st_size
    with np.load(path, allow_pickle=False) as loaded:
        assert loaded.files == ["layer/w", "n", "e"]
        assert loaded["layer/w"].tolist() == [1.0, 2.0]
        assert (loaded["n"], loaded["e"].shape) == (7, (0,))


def test_equal_tensors_give_equal_bytes(tmp_path):
    for name in ("1.npz", "2.npz"):
        write(tmp_path / name, [TensorInfo("a", "U8", (1,))], [np.zeros(1, np.uint8)])
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_dtypes_that_numpy_would_save_as_anonymous_bytes_are_refused(tmp_path):
    with pytest.raises(UnsupportedError, match=r"'a': .npz files do not have BF16"):
        write(tmp_path / "out.npz", [TensorInfo("a", "BF16", (1,))], [])
    with pytest.raises(InputError, match="no name"):
        write(tmp_path / "out.npz", [TensorInfo("a\0b", "U8", (1,))], [])
    assert os.listdir(tmp_path) == []


def test_a_name_that_climbs_out_of_the_folder_stays_a_name(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    write(inside / "out.npz", [TensorInfo("../../x", "U8", (1,))], [np.zeros(1, np.uint8)])
    with NpzSource(inside / "out.npz") as source:
        assert [info.name for info in source.tensors] == ["../../x"]
        source.read("../../x")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["inside", "out.npz"]


def test_pickled_objects_are_never_loaded(tmp_path):
    path = tmp_path / "model.npz"
    np.savez(path, a=np.array([{"evil": 1}], dtype=object))
    with pytest.raises(UnsupportedError, match="'a': dtype object"):
        NpzSource(path)


@pytest.mark.parametrize("array", [np.zeros(1, "f4,i4"), np.array(["text"]), np.zeros(1, "M8[s]")])
def test_arrays_that_hold_no_numbers_are_unsupported(tmp_path, array):
    path = tmp_path / "model.npz"
    np.savez(path, a=array)
    with pytest.raises(UnsupportedError, match="'a'"):
        NpzSource(path)


def test_members_that_are_no_arrays_are_unsupported(tmp_path):
    with pytest.raises(UnsupportedError, match=r"member 'notes.txt'"):
        NpzSource(archive(tmp_path / "model.npz", ("notes.txt", b"hi")))


def test_other_compression_methods_are_unsupported(tmp_path):
    member = ("a.npy", npy(np.zeros(9)))
    with pytest.raises(UnsupportedError, match="deflate"):
        NpzSource(archive(tmp_path / "model.npz", member, method=zipfile.ZIP_BZIP2))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names_are_corrupt(tmp_path):
    member = ("a.npy", npy(np.zeros(1)))
    with pytest.raises(CorruptError, match="two members are called 'a'"):
        NpzSource(archive(tmp_path / "model.npz", member, member))


def test_a_file_of_another_format_is_corrupt(tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(b"not a zip archive")
    with pytest.raises(CorruptError, match=r"model\.npz: archive"):
        NpzSource(path)


WHOLE = npy(np.zeros(4))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        WHOLE[:6],
        WHOLE[:40],
        WHOLE[:-1],
        WHOLE + b"x",
        WHOLE.replace(b"(4,), ", b"(-4,),"),
        WHOLE.replace(b"(4,), }          ", b"(9999999999,), } "),
        WHOLE.replace(b"(4,), } ", b"(4,4,)} "),
    ],
    ids=["empty", "magic", "header", "short", "long", "negative", "bomb", "shape"],
)
def test_arrays_of_another_size_than_their_member_are_corrupt(tmp_path, data):
    with pytest.raises(CorruptError, match="'a'"):
        NpzSource(archive(tmp_path / "model.npz", ("a.npy", data)))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_data_is_caught_by_the_checksum(tmp_path, method):
    values = np.frombuffer(np.random.default_rng(1).bytes(1000), np.uint8)
    path = archive(tmp_path / "model.npz", ("a.npy", npy(values)), method=method)
    raw = bytearray(path.read_bytes())
    raw[600] ^= 4
    path.write_bytes(raw)
    # Small members are read as a whole, and found damaged, while their headers are.
    with pytest.raises(CorruptError, match="'a'"), NpzSource(path) as source:
        source.read("a")


def test_damaged_archives_give_typed_errors_only(tmp_path):
    path = archive(tmp_path / "model.npz", ("a.npy", npy(np.arange(3, dtype=np.int16))))
    whole = path.read_bytes()
    damaged = [whole[:n] for n in range(len(whole))]
    damaged += [whole[:n] + bytes([whole[n] ^ 32]) + whole[n + 1 :] for n in range(len(whole))]
    for data in damaged:
        path.write_bytes(data)
        try:
            with NpzSource(path) as source:
                for info in source.tensors:
                    source.read(info.name)
        except QCodecError:
            pass


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.npz"
    path.write_bytes(b"old")

    def arrays():
        yield np.zeros(2, np.uint8)
        raise TruncatedError("damaged")

    with pytest.raises(TruncatedError):
        write(path, [TensorInfo("a", "U8", (2,)), TensorInfo("b", "U8", (2,))], arrays())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.npz"]
