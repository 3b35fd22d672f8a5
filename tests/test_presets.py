"""Presets: what a model's tensors get, how far off they come back; the command line as well."""

from collections.abc import Mapping

import numpy as np
import pytest
from command_line import qcodec as run
from command_line import qcodec_json, safetensors_bytes

import qcodec
from qcodec.errors import InputError


def normal(shape, seed, scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def model():
    """Kernels whose filters differ in scale, matrices, vectors, integers, clusters."""
    gains = np.exp(normal((48, 1, 1, 1), 0))
    smooth = normal((48, 32, 1, 1), 1) + 0.3 * normal((48, 32, 3, 3), 2)  # for a transform to gain
    return {
        "conv.weight": gains * smooth,
        "dense.weight": normal((96, 200), 3, 0.1),
        "large.weight": normal((300, 400), 4, 0.1),
        "norm.weight": normal((64,), 5) + 3,
        "norm.bias": normal((64,), 6, 1e-3),
        "clusters": np.float32([-0.5, 0, 0.25, 1])[np.arange(3000) * 7 % 4].reshape(30, 100),
        "steps": np.array(12345),
        "tokens": np.arange(2000).astype(np.uint16) % 100,
        "empty": np.zeros((0, 3), np.float32),
    }


MATRICES = ("conv.weight", "dense.weight", "large.weight")
EXACT = ("clusters", "steps", "tokens", "empty")


def snr(before, after, names=MATRICES):
    energy = sum((before[n].astype(np.float64) ** 2).sum() for n in names)
    off = sum(((before[n].astype(np.float64) - after[n]) ** 2).sum() for n in names)
    return 10 * np.log10(energy / off)


def saved(tmp_path, tensors, recipe):
    path = tmp_path / "m.qc"
    qcodec.save_file(tensors, path, recipe)
    return path.stat().st_size, qcodec.load_file(path)


@pytest.mark.parametrize("name", ["balanced", "archive"])
@pytest.mark.parametrize("target", [10.0, 25.0])
def test_error_of_the_matrices_is_what_was_asked_for(tmp_path, name, target):
    tensors = model()
    _, decoded = saved(tmp_path, tensors, qcodec.preset(name, tensors, snr=target))
    names = MATRICES if name == "archive" else (*MATRICES, "clusters")
    assert abs(snr(tensors, decoded, names) - target) < 0.15


def test_default_error_is_20_db(tmp_path):
    tensors = model()
    _, decoded = saved(tmp_path, tensors, qcodec.preset("archive", tensors))
    assert abs(snr(tensors, decoded) - 20) < 0.15


def test_archive_is_smaller_than_balanced_at_equal_error_and_than_one_codec_for_all(tmp_path):
    tensors = model()
    recipe = qcodec.preset("archive", tensors, snr=18)
    size, _ = saved(tmp_path, tensors, recipe)
    assert size < 0.95 * saved(tmp_path, tensors, qcodec.preset("balanced", tensors, snr=18))[0]
    step = dict(recipe.named)["dense.weight"].quantizer.step
    for codec in ("trellis(states=128, step={})", "dct | trellis(states=128, step={})"):
        others = dict.fromkeys(MATRICES, qcodec.parse(codec.format(step)))
        assert size <= saved(tmp_path, tensors, dict(recipe.named) | others)[0]


def test_smooth_kernels_are_transformed_and_large_matrices_are_not():
    tensors = model()
    codecs = dict(qcodec.preset("archive", tensors, snr=15).named)
    assert codecs["conv.weight"].transform is not None
    assert codecs["large.weight"].transform is None
    assert all(codecs[name].quantizer.name == "trellis" for name in MATRICES)


@pytest.mark.parametrize("name", ["balanced", "archive"])
def test_integers_and_clustered_values_come_back_bit_for_bit(tmp_path, name):
    tensors = model()
    _, decoded = saved(tmp_path, tensors, qcodec.preset(name, tensors, snr=12))
    kept = EXACT if name == "archive" else ("steps", "tokens", "empty", "norm.weight", "norm.bias")
    for tensor in kept:
        assert decoded[tensor].dtype == tensors[tensor].dtype
        assert decoded[tensor].tobytes() == tensors[tensor].tobytes()


@pytest.mark.parametrize(("target", "floor"), [(10.0, 35), (40.0, 45)])
def test_norms_and_biases_are_much_better_than_matrices(tmp_path, target, floor):
    tensors = model()
    _, decoded = saved(tmp_path, tensors, qcodec.preset("archive", tensors, snr=target))
    for tensor in ("norm.weight", "norm.bias"):
        assert snr(tensors, decoded, [tensor]) > floor


def test_model_without_float_matrices_is_kept_exactly(tmp_path):
    tensors = {"index": np.arange(9000, dtype=np.uint8).reshape(90, 100), "book": normal((256,), 7)}
    _, decoded = saved(tmp_path, tensors, qcodec.preset("archive", tensors, snr=10))
    assert all(decoded[name].tobytes() == tensors[name].tobytes() for name in tensors)


def test_matrices_that_cannot_be_quantized_are_kept_exactly(tmp_path):
    odd = normal((40, 50), 8)
    odd[3, 4] = np.nan
    signed = np.where(np.arange(800).reshape(20, 40) % 2, np.float32(-0.0), np.float32(1))
    tensors = {"odd": odd, "signed": signed, "zeros": np.zeros((30, 30), np.float32)}
    for name in ("balanced", "archive"):
        _, decoded = saved(tmp_path, tensors, qcodec.preset(name, tensors))
        assert decoded["odd"].tobytes() == odd.tobytes()
        assert decoded["zeros"].tobytes() == tensors["zeros"].tobytes()
    assert decoded["signed"].tobytes() == signed.tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_float_dtypes_keep_their_dtype(tmp_path, dtype):
    tensors = {"w": normal((64, 80), 9).astype(dtype)}
    _, decoded = saved(tmp_path, tensors, qcodec.preset("archive", tensors, snr=20))
    assert decoded["w"].dtype == dtype
    assert abs(snr(tensors, decoded, ["w"]) - 20) < 0.15


def test_lossless_keeps_all_and_fast_packs_four_bits():
    tensors = model()
    names = [(name, "F32", value.shape) for name, value in tensors.items()]
    lossless = qcodec.preset("lossless", tensors).assign(names)
    assert {str(codec) for codec in lossless.values()} == {"lossless | rans"}
    fast = qcodec.preset("fast", tensors).assign(names)
    assert str(fast["dense.weight"]) == "uniform(bits=4, group=64, clip='mse') | bitpack"
    assert str(fast["norm.bias"]) == "lossless | rans"


def test_the_same_model_gets_the_same_recipe_whatever_holds_it():
    tensors = model()

    class Lazy(Mapping):
        def __getitem__(self, name):
            return tensors[name].copy()

        def __iter__(self):
            return iter(tensors)

        def __len__(self):
            return len(tensors)

    assert qcodec.preset("archive", Lazy(), snr=15) == qcodec.preset("archive", tensors, snr=15)


@pytest.mark.parametrize("name", ["balanced", "archive"])
def test_recipe_does_not_depend_on_threads(name):
    expected = qcodec.preset(name, model(), snr=18, threads=1)
    for threads in (2, 5):
        assert qcodec.preset(name, model(), snr=18, threads=threads) == expected


def test_clusters_that_come_late_in_a_tensor_are_found():
    # Many values behind the first few thousand elements make floats of it, few keep it exact.
    few, many = np.zeros((2, 100, 200), np.float32)
    few[60:] = np.arange(200) % 50
    many[60:] = np.linspace(0, 1, 8000).reshape(40, 200)
    many[90:] += normal((10, 200), 7)
    recipe = qcodec.preset("archive", {"few": few, "many": many, "matrix": normal((80, 90), 8)})
    codecs = {name: codec.quantizer.name for name, codec in recipe.named}
    assert codecs["few"] in ("kmeans", "lossless")
    assert codecs["many"] == "trellis"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("smallest", {}, "no preset 'smallest': there are lossless, fast, balanced, archive"),
        ("fast", {"snr": 20.0}, "preset 'fast' takes no snr"),
        ("lossless", {"snr": 20.0}, "preset 'lossless' takes no snr"),
    ],
)
def test_wrong_presets_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        qcodec.preset(name, {}, **options)
    with pytest.raises(ValueError, match=r"snr must be in 1.0\.\.45.0, got 99"):
        qcodec.preset("archive", {}, snr=99)


def test_recipe_for_another_model_is_refused(tmp_path):
    recipe = qcodec.preset("archive", {"w": normal((20, 20), 0)})
    with pytest.raises(InputError, match="no tensor 'w', for which it has a codec"):
        qcodec.save_file({"v": normal((20, 20), 0)}, tmp_path / "m.qc", recipe)


# ---- command line


@pytest.fixture
def folder(tmp_path):
    tensors = {name: value for name, value in model().items() if value.dtype == np.float32}
    named = {name: ("F32", value) for name, value in tensors.items()}
    (tmp_path / "m.safetensors").write_bytes(safetensors_bytes(named))
    return tmp_path


def test_command_writes_what_python_writes(folder):
    run("encode", "m.safetensors", "--preset", "archive", "--snr", 14, "-o", "a.qc", cwd=folder)
    tensors = {n: v for n, v in model().items() if v.dtype == np.float32}
    recipe = qcodec.preset("archive", tensors, snr=14)
    with qcodec.safe_open(folder / "a.qc") as f:
        assert {n: str(f.get_codec(n)) for n in f.keys()} == {n: str(c) for n, c in recipe.named}  # noqa: SIM118
    assert abs(snr(tensors, qcodec.load_file(folder / "a.qc")) - 14) < 0.15


def test_command_shows_what_a_preset_would_do(folder):
    shown = qcodec_json("encode", "m.safetensors", "--preset", "balanced", "--dry-run", cwd=folder)
    codecs = {t["name"]: t["codec"] for t in shown["files"][0]["tensors"]}
    assert codecs["dense.weight"].startswith("uniform(step=")
    assert not (folder / "m.qc").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "tiny"], "no preset 'tiny'"),
        (["--preset", "fast", "--codec", "lossless"], "one of --codec, --recipe and --preset"),
        (["--snr", "20"], "--snr is for --preset"),
        (["--preset", "fast", "--snr", "20"], "takes no snr"),
        (["--preset", "archive", "--snr", "99"], "is not in the range"),
    ],
)
def test_command_refuses_what_makes_no_sense(folder, options, message):
    done = run("encode", "m.safetensors", *options, cwd=folder, code=1)
    assert message in done.stderr
    assert not (folder / "m.qc").exists()
