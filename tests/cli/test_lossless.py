"""Encoding without a codec and decoding again gives the very same file."""

import json
import os

import numpy as np
import pytest
from command_line import model, qcodec, qcodec_json, safetensors_bytes
from safetensors.numpy import load_file, save_file

import qcodec as library


def assert_returns(folder, content):
    (folder / "in.safetensors").write_bytes(content)
    qcodec("encode", "in.safetensors", cwd=folder)
    qcodec("decode", "in.qc", "-o", "out.safetensors", cwd=folder)
    assert (folder / "out.safetensors").read_bytes() == content


def test_a_file_of_the_safetensors_package_returns_byte_for_byte(tmp_path):
    path = tmp_path / "made.safetensors"
    tensors = {"b": np.arange(12, dtype=np.float32).reshape(3, 4), "a": np.zeros(3, np.int8)}
    save_file(tensors, path, metadata={"format": "pt", "note": "ü"})
    assert_returns(tmp_path, path.read_bytes())
    with library.safe_open(tmp_path / "in.qc") as f:
        assert f.contents.source == {"format": "safetensors"}


def test_every_dtype_and_shape_returns_byte_for_byte(tmp_path):
    metadata = {"zeta": "1", "alpha": "2", "": "", "ünï": '"\n'}
    assert_returns(tmp_path, safetensors_bytes(model(), metadata))


@pytest.mark.parametrize(
    "options",
    [
        {"padding": b" " * 13},
        {"separators": (",", ":"), "metadata": {"b": "1", "a": "2"}},
        {"separators": (",", ":"), "metadata": {}},
        {"order": list(reversed(model()))},
    ],
    ids=["odd padding", "no padding", "empty metadata", "header order is not data order"],
)
def test_headers_that_no_writer_of_ours_makes_return_byte_for_byte(tmp_path, options):
    assert_returns(tmp_path, safetensors_bytes(model(), **options))


def test_a_header_with_metadata_at_the_end_returns_byte_for_byte(tmp_path):
    header = b'{"a":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"},"__metadata__":{"k":"v"}}'
    assert_returns(tmp_path, len(header).to_bytes(8, "little") + header + b"\x07")


def test_a_model_without_tensors_returns_byte_for_byte(tmp_path):
    assert_returns(tmp_path, (8).to_bytes(8, "little") + b"{}      ")


def test_names_that_look_like_paths_stay_names(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    names = ["../../escape", "/tmp/absolute", "C:\\x", "", "nul\0", "\x1b[31m", "a/b"]
    tensors = {name: ("U8", np.array([k], np.uint8)) for k, name in enumerate(names)}
    assert_returns(inside, safetensors_bytes(tensors))
    assert os.listdir(tmp_path) == ["inside"]
    assert sorted(os.listdir(inside)) == ["in.qc", "in.safetensors", "out.safetensors"]


def test_threads_do_not_change_the_bytes(tmp_path):
    tensors = {"w": ("F32", np.random.default_rng(1).standard_normal(2_500_000, dtype=np.float32))}
    (tmp_path / "m.safetensors").write_bytes(safetensors_bytes(tensors))
    for threads in (1, 3):
        qcodec("encode", "m.safetensors", "-o", f"{threads}.qc", "--threads", threads, cwd=tmp_path)
    assert (tmp_path / "1.qc").read_bytes() == (tmp_path / "3.qc").read_bytes()
    qcodec("decode", "3.qc", "--threads", 2, cwd=tmp_path)
    assert (tmp_path / "3.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


def test_npz_returns_with_equal_arrays(tmp_path):
    tensors = {"w": np.asfortranarray(np.eye(3, 4)), "n": np.array(7, ">i4"), "e": np.zeros((0, 2))}
    np.savez_compressed(tmp_path / "m.npz", **tensors)
    qcodec("encode", "m.npz", cwd=tmp_path)
    qcodec("decode", "m.qc", "-o", "out.npz", cwd=tmp_path)
    with np.load(tmp_path / "out.npz") as loaded:
        assert loaded.files == ["w", "n", "e"]
        for name, array in tensors.items():
            assert loaded[name].dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(loaded[name], array)


def test_npz_decodes_to_aligned_safetensors(tmp_path):
    np.savez(tmp_path / "m.npz", flags=np.array([True]), w=np.array([1.5]))
    qcodec("encode", "m.npz", cwd=tmp_path)
    qcodec("decode", "m.qc", cwd=tmp_path)
    raw = (tmp_path / "m.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert header["w"]["data_offsets"] == [0, 8]
    assert header["flags"]["data_offsets"] == [8, 9]
    assert len(raw) % 8 == 1


def test_tied_weights_become_separate_tensors(tmp_path):
    shared = np.array([[1.5, 2.5]], np.float32)
    library.save_file({"a": shared, "tied": shared}, tmp_path / "m.qc")
    qcodec("decode", "m.qc", cwd=tmp_path)
    loaded = load_file(tmp_path / "m.safetensors")
    assert {name: value.tolist() for name, value in loaded.items()} == {
        "a": [[1.5, 2.5]],
        "tied": [[1.5, 2.5]],
    }


def test_another_dtype_gives_a_canonical_header(tmp_path):
    weights = np.array([[1.0, 2.5]], np.float32)
    content = safetensors_bytes({"w": ("F32", weights), "n": ("I64", np.array([9]))}, {"k": "v"})
    (tmp_path / "m.safetensors").write_bytes(content)
    qcodec("encode", "m.safetensors", cwd=tmp_path)
    qcodec("decode", "m.qc", "-o", "half.safetensors", "--dtype", "f16", cwd=tmp_path)
    loaded = load_file(tmp_path / "half.safetensors")
    assert loaded["w"].dtype == np.float16
    assert loaded["w"].tolist() == [[1.0, 2.5]]
    assert loaded["n"].tolist() == [9]
    qcodec("decode", "m.qc", "-o", "same.safetensors", "--dtype", "f32", cwd=tmp_path)
    assert (tmp_path / "same.safetensors").read_bytes() == content


def test_a_lossy_codec_keeps_no_header_and_takes_matrices_only(tmp_path):
    content = safetensors_bytes(
        {"w": ("F32", np.array([[7, -3.2]], np.float32)), "b": ("F32", np.array([0.3], np.float32))}
    )
    (tmp_path / "m.safetensors").write_bytes(content)
    qcodec("encode", "m.safetensors", "--codec", "uniform(bits=4)", cwd=tmp_path)
    with library.safe_open(tmp_path / "m.qc") as f:
        assert f.contents.source == {"format": "safetensors"}
    qcodec("decode", "m.qc", "-o", "out.safetensors", cwd=tmp_path)
    loaded = load_file(tmp_path / "out.safetensors")
    # Largest magnitude 7 and largest symbol 7: the step is 1.
    assert loaded["w"].tolist() == [[7.0, -3.0]]
    assert loaded["b"].tolist() == [np.float32(0.3)]


def test_results_in_json_tell_the_real_sizes(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(safetensors_bytes(model()))
    (result,) = qcodec_json("encode", "m.safetensors", cwd=tmp_path)["files"]
    assert result["output"] == "m.qc"
    assert result["tensors"] == 12
    assert result["input_bytes"] == (tmp_path / "m.safetensors").stat().st_size
    assert result["output_bytes"] == (tmp_path / "m.qc").stat().st_size
    (result,) = qcodec_json("decode", "m.qc", "-o", "n.safetensors", cwd=tmp_path)["files"]
    assert result["output_bytes"] == (tmp_path / "n.safetensors").stat().st_size
