"""Whole models: what several threads do, and what arrays share."""

import forge
import numpy as np
import pytest

import qcodec

CHUNK = 2**20


def mixed_model():
    """Tensors of shared chunks, of one chunk, and of several."""
    rng = np.random.default_rng(4)
    model = {f"small {k}": rng.standard_normal((100, 301 + k)) for k in range(30)}
    model |= {f"middle {k}": rng.integers(0, 9, (700, 701 + k)) for k in range(5)}
    model |= {f"large {k}": rng.standard_normal(2 * CHUNK + k).astype("f4") for k in range(2)}
    model |= {"none": np.empty((0, 3), np.float32), "one": np.float64(3), "flags": np.ones(9, bool)}
    return model


def same(loaded, model):
    assert list(loaded) == list(model)
    for name, array in model.items():
        assert loaded[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(loaded[name], array, err_msg=name)


@pytest.mark.parametrize("threads", [1, 2, 3, None])
def test_any_number_of_threads_loads_the_same(tmp_path, threads):
    model = mixed_model()
    qcodec.save_file(model, tmp_path / "model.qc")
    same(qcodec.load_file(tmp_path / "model.qc", threads=threads), model)


CODEC = {  # of each kind: searched, plain, sharing chunks or not, lossy
    "small *": "kmeans(k=5) | huffman",
    "middle [0-2]": "lossless | rans",
    "large 0": "trellis(states=8, step=0.3) | rans",
    "large 1": "uniform(bits=4, group=64) | bloomier(bits=6)",
    "*": "lossless",
}


@pytest.mark.parametrize("codec", ["lossless", CODEC], ids=["lossless", "several"])
def test_bytes_of_a_file_do_not_depend_on_threads(tmp_path, codec):
    model = mixed_model()
    model |= {f"alone {k}": np.full((300, 1000 + k), k, np.float16) for k in range(4)}
    model["middle 9"] = model["middle 2"]  # an alias
    for threads in (1, 2, 3, 8):
        qcodec.save_file(model, tmp_path / f"{threads}.qc", codec, threads=threads)
    expected = (tmp_path / "1.qc").read_bytes()
    for threads in (2, 3, 8):
        assert (tmp_path / f"{threads}.qc").read_bytes() == expected


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["small 3", "wide 1", "wide 5"])
def test_tensor_that_does_not_fit_is_named_and_leaves_nothing(tmp_path, threads, name):
    rng = np.random.default_rng(2)
    model = {f"small {k}": rng.standard_normal((20, 30), np.float32) for k in range(5)}
    model |= {f"wide {k}": rng.standard_normal((1000, 700), np.float32) for k in range(6)}
    model[name][7, 3] = np.nan
    with pytest.raises(qcodec.InputError, match=rf"tensor '{name}': element \[7, 3\] is nan"):
        qcodec.save_file(model, tmp_path / "m.qc", "uniform(bits=4, group=64)", threads=threads)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["small 3", "middle 4", "large 1"])
def test_damaged_tensor_is_named_however_many_threads_there_are(tmp_path, threads, name):
    path = tmp_path / "model.qc"
    qcodec.save_file(mixed_model(), path)
    with qcodec.safe_open(path) as f:
        entry = f.entry(name)
        begin = entry.shared.offset if entry.shared is not None else int(entry.offsets[-1])
    data = bytearray(path.read_bytes())
    data[begin] ^= 4
    path.write_bytes(data)
    named = "small" if "small" in name else name  # any that shares the chunk
    with pytest.raises(qcodec.CorruptError, match=f"tensor '{named}.*hash"):
        qcodec.load_file(path, threads=threads)


def test_first_of_damaged_tensors_is_named(tmp_path):
    path = tmp_path / "model.qc"
    qcodec.save_file({k: np.random.default_rng(1).random((500, 700)) for k in "abcdef"}, path)
    parts = forge.take_apart(path.read_bytes())
    for row in parts.rows[2:]:
        row.chunks = [row.chunks[0][:-1]]
    path.write_bytes(forge.put_together(parts))
    for threads in (1, 3):
        with pytest.raises(qcodec.QCodecError, match="tensor 'c'"):
            qcodec.load_file(path, threads=threads)


def test_arrays_share_memory_but_no_byte(tmp_path):
    rng = np.random.default_rng(4)
    sizes = [0, 1, 65_535, 65_536, 65_537, 70_001, 4_194_303, 4_194_304, 5_000_000]
    sizes += [3_999_999] * 6  # more than one block
    model = {f"{k}": rng.integers(0, 256, n, np.uint8) for k, n in enumerate(sizes)}
    model["f64"] = rng.standard_normal((100, 301))
    model["shared chunk"] = rng.standard_normal((7, 9000), np.float32)
    model["flags"] = rng.random(70_000) < 0.5
    qcodec.save_file(model, tmp_path / "model.qc")
    loaded = qcodec.load_file(tmp_path / "model.qc")
    for array in loaded.values():
        assert array.flags.writeable
        assert array.flags.aligned
        array.reshape(-1).view("u1")[:] ^= 0x55
    for array in loaded.values():
        array.reshape(-1).view("u1")[:] ^= 0x55
    same(loaded, model)
    assert loaded["4"].base is loaded["5"].base
    assert loaded["2"].base is not loaded["5"].base  # small enough to stand alone
