"""Shared chunks: which tensors lie together, and that nobody can tell by their values."""

from unittest import mock

import forge
import hostile
import numpy as np
import pytest
import reference
import samples

import qcodec
from qcodec import CorruptError, InputError, LimitError, reading
from qcodec.packing import FULL_ELEMENTS


def normal(shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def model(n=20):
    """Convolutions, norms and counters, as models have them."""
    out = {}
    for k in range(n):
        out[f"layer.{k}.conv"] = normal((8, 4 + k % 3, 3, 3), k)
        out[f"layer.{k}.norm"] = normal((8,), 100 + k)
        out[f"layer.{k}.half"] = normal((6, 7), 200 + k, np.float16)
        out[f"layer.{k}.count"] = np.array(k, np.int64)
    return out


def rows(path):
    return {row.name.decode(): row for row in forge.take_apart(path.read_bytes()).rows}


def assert_same(loaded, expected):
    assert list(loaded) == list(expected)
    for name, value in expected.items():
        assert loaded[name].dtype == value.dtype
        assert loaded[name].shape == value.shape
        assert loaded[name].tobytes() == value.tobytes(), name


# ---- which tensors


def test_small_tensors_of_one_codec_and_dtype_share_a_chunk(tmp_path):
    qcodec.save_file(model(3), tmp_path / "m.qc", {"*.norm": "lossless | huffman", "*": "lossless"})
    file = reference.open_file((tmp_path / "m.qc").read_bytes())
    together = [[t.name.split(".")[-1] for t in chunk.tensors] for chunk in file.open_chunks]
    assert together == [["conv"] * 3, ["norm"] * 3, ["half"] * 3, ["count"] * 3]


@pytest.mark.parametrize(
    ("codec", "n", "kind"),
    [
        ("lossless", 0, 0),
        ("lossless", 1, 1),
        ("lossless", 1023, 1),
        ("lossless", 1024, 0),
        ("uniform(bits=2)", 65535, 1),
        ("uniform(bits=2)", 65536, 0),
    ],
)
def test_large_tensors_have_chunks_of_their_own_and_empty_ones(tmp_path, codec, n, kind):
    qcodec.save_file({"a": np.ones((1, n), np.float32)}, tmp_path / "m.qc", codec)
    assert rows(tmp_path / "m.qc")["a"].kind == kind


def test_shared_chunk_is_closed_where_it_is_full(tmp_path):
    n = 60_000
    tensors = {str(k): np.full((1, n), k, np.float32) for k in range(20)}
    path = tmp_path / "m.qc"
    qcodec.save_file(tensors, path, "uniform(bits=1)")
    kinds = [row.kind for row in rows(path).values()]
    each = -(-FULL_ELEMENTS // n)
    assert kinds == [2 if k % each == each - 1 else 1 for k in range(20)]
    assert_same(qcodec.load_file(path), tensors)


def test_blob_of_one_tensor_shares_nothing():
    assert forge.take_apart(qcodec.encode(np.ones(5))).rows[0].kind == 0


# ---- what is read is what was written


@pytest.mark.parametrize("codec", hostile.SHARED)
def test_tensors_decode_as_from_chunks_of_their_own(isa, tmp_path, codec):
    tensors = {f"t{k}": samples.weights("F32", (4, 3 + k, 3, 3), seed=k) for k in range(4)}
    path = tmp_path / "m.qc"
    qcodec.save_file(tensors, path, {"*": codec})
    file = reference.open_file(path.read_bytes())
    loaded = qcodec.load_file(path)
    assert_same(loaded, {name: file.decode(name) for name in tensors})
    together = ("rdo", "dead_zone", "trellis")
    if not any(word in codec for word in together):  # those choose for all tensors together
        assert_same(loaded, {n: qcodec.decode(qcodec.encode(w, codec)) for n, w in tensors.items()})


def test_names_keep_their_order_across_chunks(tmp_path):
    tensors = model(5) | {"large": normal((300, 300)), "after": normal((4,)), "none": normal((0,))}
    path = tmp_path / "m.qc"
    qcodec.save_file(tensors, path)
    assert_same(qcodec.load_file(path), tensors)
    with qcodec.safe_open(path) as f:
        assert f.keys() == list(tensors)
        for name in reversed(tensors):  # one by one, in another order
            assert f.get_tensor(name).tobytes() == tensors[name].tobytes()


def test_bytes_do_not_depend_on_threads(tmp_path):
    codec = {"*.conv": "dct | uniform(step=0.1, rdo=0.1, profile=True)", "*": "lossless"}
    files = []
    for threads in (1, 2, 5, None):
        qcodec.save_file(model(), tmp_path / "m.qc", codec, threads=threads)
        files.append((tmp_path / "m.qc").read_bytes())
    assert len(set(files)) == 1


@pytest.mark.parametrize("index", [0, -1, slice(1, 3), slice(None, None, -2), (slice(2), 1), ...])
def test_slices_are_those_of_the_whole_tensor(tmp_path, index):
    tensors = model(3)
    qcodec.save_file(tensors, tmp_path / "m.qc")
    with qcodec.safe_open(tmp_path / "m.qc") as f:
        got = f.get_slice("layer.1.conv")[index]
    np.testing.assert_array_equal(got, tensors["layer.1.conv"][index])


@pytest.mark.parametrize("dtype", reference.FLOATS)
def test_other_dtypes_are_rounded_from_the_stored_one(tmp_path, dtype):
    tensors = {name: w for name, w in model(3).items() if "count" not in name}
    path = tmp_path / "m.qc"
    qcodec.save_file(tensors, path, "uniform(step=0.1)")
    file = reference.open_file(path.read_bytes())
    expected = {name: file.decode(name, dtype) for name in tensors}
    kind = reference.NUMPY[dtype]
    assert_same(qcodec.load_file(path, dtype=kind), expected)
    with qcodec.safe_open(path) as f:
        for name, value in expected.items():
            out = np.empty(value.shape, kind)
            assert f.get_tensor(name, out=out) is out
            assert out.tobytes() == value.tobytes()
            strided = np.zeros((*value.shape, 2), kind)[..., 0]
            assert f.get_tensor(name, out=strided).tobytes() == value.tobytes()


def test_tensors_handed_out_do_not_share_memory(tmp_path):
    qcodec.save_file(model(2), tmp_path / "m.qc")
    with qcodec.safe_open(tmp_path / "m.qc") as f:
        first = f.get_tensor("layer.0.conv")
        before = first.copy()
        first[...] = 0
        np.testing.assert_array_equal(f.get_tensor("layer.0.conv"), before)


def test_aliases_of_small_tensors_are_stored_once(tmp_path):
    w = normal((5, 6))
    qcodec.save_file({"a": w, "b": normal((3,)), "tied": w}, tmp_path / "m.qc")
    assert list(rows(tmp_path / "m.qc")) == ["a", "b"]
    loaded = qcodec.load_file(tmp_path / "m.qc")
    assert loaded["tied"] is loaded["a"]


def test_many_tensors_open_and_load(tmp_path):
    tensors = {f"{k:05}": np.full(3, k, np.float32) for k in range(20_000)}
    path = tmp_path / "m.qc"
    qcodec.save_file(tensors, path)
    assert_same(qcodec.load_file(path), tensors)
    assert path.stat().st_size < 20_000 * 8


def test_tensors_of_several_chunks_in_turn_load_in_linear_time(tmp_path):
    # Were each chunk decoded for each of its tensors, this would take minutes.
    names = [name for name in reference.NUMPY if name not in ("BOOL", "C64", "F64", "U64")]
    dtypes = [reference.NUMPY[name] for name in names]
    tensors = {f"{k:05}": np.ones(25, dtypes[k % len(dtypes)]) for k in range(3000)}
    path = tmp_path / "m.qc"
    qcodec.save_file(tensors, path, "lossless | bitpack")
    with mock.patch.object(reading, "decode_together", wraps=reading.decode_together) as decode:
        assert_same(qcodec.load_file(path), tensors)
    assert decode.call_count == len(dtypes)


def test_tensors_of_three_chunks_asked_for_in_turn_are_decoded_once(tmp_path):
    tensors = model(6)
    qcodec.save_file(tensors, tmp_path / "m.qc")
    with (
        mock.patch.object(reading, "decode_together", wraps=reading.decode_together) as decode,
        qcodec.safe_open(tmp_path / "m.qc") as f,
    ):
        for name in tensors:
            f.get_tensor(name)
    assert decode.call_count == 3  # F32, F16 and I64


def test_sharing_makes_a_file_of_small_tensors_smaller(tmp_path):
    tensors = {str(k): (normal((40,), k) * 8).astype(np.int8) for k in range(300)}
    path = tmp_path / "m.qc"
    qcodec.save_file(tensors, path, "lossless | rans")
    alone = sum(len(row.chunks[0]) for w in tensors.values()
                for row in forge.take_apart(qcodec.encode(w, "lossless | rans")).rows)  # fmt: skip
    assert path.stat().st_size < alone


# ---- damage


@pytest.mark.parametrize("verify", ["always", "first"])
def test_damaged_chunk_takes_all_its_tensors_and_no_other(tmp_path, verify):
    tensors = model(3)
    path = tmp_path / "m.qc"
    qcodec.save_file(tensors, path)
    with qcodec.safe_open(path) as f:
        at = f.entry("layer.0.half").shared.offset
    raw = bytearray(path.read_bytes())
    raw[at + 20] ^= 4
    path.write_bytes(raw)
    with qcodec.safe_open(path, verify=verify) as f:
        for name, value in tensors.items():
            if name.endswith("half"):
                with pytest.raises(CorruptError, match=rf"{name}.*shared chunk, byte {at}.*hash"):
                    f.get_tensor(name)
            else:
                assert f.get_tensor(name).tobytes() == value.tobytes()


@pytest.mark.parametrize(
    ("verify", "refused"), [("always", True), ("first", True), ("never", False)]
)
def test_verify_says_whether_the_hash_is_checked(tmp_path, verify, refused):
    path = tmp_path / "m.qc"
    w = normal((50,))
    qcodec.save_file({"a": w, "b": w + 1}, path, "lossless | bitpack")
    raw = bytearray(path.read_bytes())
    raw[16 + 390] ^= 1  # in the last plane, of stored mantissas
    path.write_bytes(raw)
    with qcodec.safe_open(path, verify=verify) as f:
        if refused:
            with pytest.raises(CorruptError):
                f.get_tensor("a")
        else:
            assert f.get_tensor("a").shape == (50,)


def test_hash_binds_a_shared_chunk_to_its_first_tensor():
    chunk = bytes.fromhex("00 01020304")
    config = qcodec.parse("lossless | bitpack").get_config()
    good = forge.shared_file(config, [(2,), (2,)], 1, chunk)
    assert hostile.outcome(good)["1"][2] == bytes([3, 4])
    parts = forge.take_apart(good)
    moved = parts.copy()
    moved.rows.insert(0, forge.Row(b"first", 1, [0], 0))
    moved.table = forge.build_table(moved)
    assert isinstance(hostile.outcome(forge.put_together(moved))["0"], tuple)
    moved.table = moved.table[:-8] + forge.build_table(parts)[-8:]  # the hash of the other place
    assert hostile.outcome(forge.put_together(moved))["0"] is CorruptError


def test_decoded_bytes_are_bounded_by_the_caller(tmp_path):
    path = tmp_path / "m.qc"
    qcodec.save_file({"a": np.ones(1000, np.uint8), "b": np.ones(10, np.uint8)}, path)
    with qcodec.safe_open(path, max_decoded_bytes=100) as f:
        with pytest.raises(LimitError):
            f.get_tensor("a")
        assert f.get_tensor("b").size == 10
    with pytest.raises(LimitError):
        qcodec.load_file(path, max_decoded_bytes=1009)


def test_tensor_that_cannot_be_encoded_is_named_and_leaves_no_file(tmp_path):
    tensors = model(2)
    tensors["layer.1.conv"][3, 1, 2, 0] = np.nan
    with pytest.raises(InputError, match=r"'layer\.1\.conv'.*\[3, 1, 2, 0\] is nan"):
        qcodec.save_file(tensors, tmp_path / "m.qc", "uniform(step=0.1)")
    assert list(tmp_path.iterdir()) == []
