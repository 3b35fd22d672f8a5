"""The lossy coder in codecs: which stages it follows, what the caller learns of its errors."""

import command_line
import numpy as np
import pytest
import reference
from conftest import ISAS

import qcodec
from qcodec import _core

MEGA = 2**20
CODECS = [
    "uniform(bits=4)", "uniform(bits=3, group=64)", "uniform(bits=5, axis=0)", "uniform(step=0.3)",
    "uniform(bits=8, symmetric=False)", "uniform(step=0.3, profile=True)",
    "uniform(step=0.3, rdo=0.1)", "kmeans(keep_zeros=True)",
    "kmeans(k=3, keep_zeros=True, rate=0.1)",
    "ternary",
]  # fmt: skip


def weights(shape, density=0.08, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * (rng.random(shape) < density)).astype(dtype)


def changed(array, quantizer, coder):
    """Elements that the coder changes, by what another coder gives."""
    exact = qcodec.decode(qcodec.encode(array, f"{quantizer} | rans"))
    return np.flatnonzero(qcodec.decode(qcodec.encode(array, f"{quantizer} | {coder}")) != exact)


@pytest.mark.parametrize("quantizer", CODECS)
def test_errors_that_are_returned_are_those_that_decoding_shows(isa, quantizer):
    w = weights((60, 9, 3, 3))
    coder = "bloomier(bits=8, seed=3)"
    blob, errors = qcodec.encode(w, f"{quantizer} | {coder}", return_errors=True)
    assert errors.dtype == np.int64
    np.testing.assert_array_equal(errors, changed(w, quantizer, coder))
    assert blob == qcodec.encode(w, f"{quantizer} | {coder}")
    assert errors.size > 0
    # None of them is a weight that was stored.
    exact = qcodec.decode(qcodec.encode(w, f"{quantizer} | rans")).ravel()
    values, counts = np.unique(exact, return_counts=True)
    if "group" not in quantizer and "axis" not in quantizer:
        assert np.all(exact[errors] == values[counts.argmax()])


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
@pytest.mark.parametrize("quantizer", CODECS)
def test_values_equal_those_of_the_reference_decoder(isa, bits, dtype, quantizer):
    w = weights((40, 8, 3, 3), dtype=reference.NUMPY[dtype])
    blob = qcodec.encode(w, f"{quantizer} | bloomier(bits={bits})")
    assert qcodec.decode(blob).tobytes() == reference.decode_blob(blob).tobytes()


@pytest.mark.parametrize("bits", [6, 12])
def test_bytes_and_errors_do_not_depend_on_instruction_set_and_threads(bits):
    w = weights((3, MEGA // 2 + 77))
    made, before = [], _core.isa()
    for level in ISAS[: ISAS.index(_core.best_isa()) + 1]:
        _core.set_isa(level)
        for threads in (1, 3):
            blob, errors = qcodec.encode(
                w, f"uniform(bits=4) | bloomier(bits={bits})", threads=threads, return_errors=True
            )
            decoded = qcodec.decode(blob, threads=threads)
            made.append((blob, errors.tobytes(), decoded.tobytes()))
    _core.set_isa(before)
    assert len(set(made)) == 1


def test_errors_behind_the_first_chunk_are_counted_from_the_first_element():
    w = weights((3, MEGA // 2 + 77))
    _, errors = qcodec.encode(w, "uniform(bits=4) | bloomier(bits=6)", return_errors=True)
    np.testing.assert_array_equal(errors, changed(w, "uniform(bits=4)", "bloomier(bits=6)"))
    assert errors[-1] > MEGA


def test_coders_that_lose_nothing_return_no_errors():
    blob, errors = qcodec.encode(weights((9, 90)), "uniform(bits=4) | rans", return_errors=True)
    assert isinstance(blob, bytes)
    assert (errors.size, errors.dtype) == (0, np.int64)


@pytest.mark.parametrize(
    "rows", [slice(0, 3), slice(100, 101), slice(1500, 1900), slice(2990, 3000)]
)
@pytest.mark.parametrize("bits", [5, 9])
def test_any_slice_is_that_of_the_whole_tensor(isa, bits, rows):
    # Chunks of 2^20, windows of 8192: slices begin and end inside of both.
    w = weights((3000, 701))
    blob = qcodec.encode(w, f"uniform(bits=4) | bloomier(bits={bits})")
    with qcodec.safe_open(blob) as f:
        np.testing.assert_array_equal(f.get_slice("")[rows], qcodec.decode(blob)[rows])


def test_small_tensors_have_chunks_of_their_own(tmp_path):
    # Zero is another symbol in each: the second has no negative values.
    tensors = {"a": weights((30, 40)), "b": np.abs(weights((30, 40), seed=1))}
    tensors["c"] = np.where(tensors["a"] == 0, 1, tensors["a"])
    codec = "kmeans(k=5, keep_zeros=True)"
    qcodec.save_file(tensors, tmp_path / "m.qc", f"{codec} | bloomier(bits=7)")
    slow = reference.open_file((tmp_path / "m.qc").read_bytes())
    with qcodec.safe_open(tmp_path / "m.qc") as f:
        for name, w in tensors.items():
            assert f.entry(name).shared is None
            decoded, exact = f.get_tensor(name), qcodec.decode(qcodec.encode(w, f"{codec} | rans"))
            values, counts = np.unique(exact, return_counts=True)
            common = exact == values[counts.argmax()]
            np.testing.assert_array_equal(decoded[~common], exact[~common])
            assert 0 < (decoded != exact).mean() < 0.1
            assert decoded.tobytes() == slow.decode(name).tobytes()


# ---- what cannot be, or does not pay


@pytest.mark.parametrize(
    "stage",
    [
        "lossless",
        "rounded",
        "uniform(bits=16)",
        "dithered(step=0.1)",
        "kmeans(k=4)",
        "kmeans(axis=0, keep_zeros=True)",
        "kmeans(group=64, keep_zeros=True)",
        "dct | uniform(bits=4)",
        "dct | ternary",
    ],
)
def test_stages_that_a_wrong_symbol_would_break_are_refused_by_name(stage):
    with pytest.raises(qcodec.InputError) as error:
        qcodec.parse(f"{stage} | bloomier(bits=6)")
    assert stage.split(" | ")[0] in str(error.value).split(": ", 1)[1]
    assert "bloomier(bits=6)" in str(error.value)


def test_a_file_of_such_a_codec_is_corrupt():
    config = qcodec.parse("uniform(bits=4) | bloomier(bits=6)").get_config()
    assert qcodec.Codec.from_config(config).coder == qcodec.Bloomier(bits=6)
    for quantizer in ({"name": "lossless"}, config["quantizer"] | {"bits": 16}):
        with pytest.raises(qcodec.CorruptError, match="cannot take the errors"):
            qcodec.Codec.from_config(config | {"quantizer": quantizer})
    with pytest.raises(qcodec.CorruptError, match=r"bits must be in 1\.\.16"):
        qcodec.Codec.from_config(config | {"coder": config["coder"] | {"bits": 17}})


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"bits": 0}, ValueError), ({"bits": 17}, ValueError), ({"bits": 6.0}, TypeError),
        ({"bits": 6, "seed": -1}, ValueError), ({"bits": 6, "seed": 2**28}, ValueError),
        ({}, TypeError),
    ],
    ids=str,
)  # fmt: skip
def test_options_out_of_range_are_refused(options, error):
    with pytest.raises(error):
        qcodec.Bloomier(**options)


def test_more_values_than_words_are_refused_with_both_numbers():
    w = np.repeat(np.float32([0, 1, 2, 3, -1]), [96, 1, 1, 1, 1])
    qcodec.encode(w, "uniform(step=1.0) | bloomier(bits=3)")
    message = r"4 symbols .* bloomier\(bits=2\) tells apart 3: take 3 bits or more"
    with pytest.raises(qcodec.InputError, match=message) as error:
        qcodec.encode(w, "uniform(step=1.0) | bloomier(bits=2)")
    assert "tensor ''" in str(error.value)
    assert "uniform(step=1.0)" in str(error.value)


@pytest.mark.parametrize(("large", "what"), [(1000, "escaped"), (30_000, "16 bits")])
def test_integers_that_need_more_than_a_symbol_are_refused(large, what):
    w = weights(10_000)
    w[: 10 if what == "escaped" else 5000] = large
    with pytest.raises(qcodec.InputError, match=what):
        qcodec.encode(w, "uniform(step=0.1) | bloomier(bits=8)")


@pytest.mark.parametrize(
    "w", [np.ones(5000, np.float32), weights(5000, density=1.0), weights(3, density=1.0)],
    ids=["constant", "dense", "few"],
)  # fmt: skip
def test_what_would_not_be_smaller_is_stored_without_errors(w):
    blob, errors = qcodec.encode(w, "uniform(bits=4) | bloomier(bits=6)", return_errors=True)
    assert errors.size == 0
    bitpack = qcodec.encode(w, "uniform(bits=4) | bitpack")
    assert qcodec.decode(blob).tobytes() == qcodec.decode(bitpack).tobytes()
    with qcodec.safe_open(blob) as f:
        assert f.get_error_rates("") == (0.0, 0.0)


# ---- what is known of a file


@pytest.mark.parametrize("shape", [(200, 300), (1300, 1000)])
def test_inspect_shows_the_rate_asked_for_and_the_one_measured(tmp_path, shape):
    rng = np.random.default_rng(3)  # -3 .. 3, all in use in every chunk
    w = (rng.integers(-3, 4, shape) * (rng.random(shape) < 0.1)).astype(np.float32)
    path = tmp_path / "m.qc"
    codec = "uniform(bits=3) | bloomier(bits=6)"
    qcodec.save_file(
        {"a": w, "b": np.ones((9, 9), np.float32)}, path, {"a": codec, "b": "lossless"}
    )
    exact = qcodec.decode(qcodec.encode(w, "uniform(bits=3) | rans"))
    _, errors = qcodec.encode(w, codec, return_errors=True)
    shown = command_line.qcodec_json("inspect", path, cwd=tmp_path)
    [a, b] = shown["files"][0]["tensors"]
    assert a["error_rate_asked"] == 6 / 64  # -3 .. 3 without 0
    assert a["error_rate_measured"] == pytest.approx(errors.size / (exact == 0).sum(), rel=1e-12)
    assert "error_rate_asked" not in b
    assert "9.375 % are to come back as another value" in (
        command_line.qcodec("inspect", path, cwd=tmp_path).stdout
    )


def test_damaged_chunk_has_no_rates(tmp_path):
    blob = bytearray(qcodec.encode(weights((50, 80)), "uniform(bits=4) | bloomier(bits=6)"))
    blob[60] ^= 1
    with qcodec.safe_open(bytes(blob)) as f, pytest.raises(qcodec.CorruptError, match="hash"):
        f.get_error_rates("")


def test_command_line_and_recipe_take_the_codec(tmp_path):
    w = weights((200, 300))
    np.savez(tmp_path / "m.npz", a=w)
    codec = "uniform(bits=4) | bloomier(bits=6)"
    command_line.qcodec("encode", "m.npz", "--codec", codec, cwd=tmp_path)
    (tmp_path / "r.toml").write_text(f'[[rule]]\nmatch = "*"\ncodec = "{codec}"\n')
    command_line.qcodec("encode", "m.npz", "--recipe", "r.toml", "-o", "r.qc", cwd=tmp_path)
    decoded = qcodec.decode(qcodec.encode(w, codec))
    for name in ("m.qc", "r.qc"):
        np.testing.assert_array_equal(qcodec.load_file(tmp_path / name)["a"], decoded)
