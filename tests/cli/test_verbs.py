"""What each verb shows, as text and as JSON."""

import subprocess
import sys

import numpy as np
import pytest
from command_line import model, qcodec, qcodec_json, safetensors_bytes

import qcodec as library


def test_help_and_version_are_quick_and_complete(tmp_path):
    text = qcodec("--help", cwd=tmp_path).stdout
    for verb in ("encode", "decode", "inspect", "verify", "compare", "demo"):
        assert f"\n  {verb} " in text
    assert qcodec("--version", cwd=tmp_path).stdout == f"qcodec, version {library.__version__}\n"


@pytest.mark.parametrize("verb", ["encode", "decode", "inspect", "verify", "compare", "demo"])
def test_every_verb_explains_itself(tmp_path, verb):
    assert f"Usage: qcodec {verb}" in qcodec(verb, "--help", cwd=tmp_path).stdout


def test_help_imports_no_table_and_no_verb(tmp_path):
    code = (
        "import sys\nfrom qcodec.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "bad = {'rich', 'numba', 'safetensors', 'qcodec.cli.encode'} & set(sys.modules)\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# ---- encode


def test_dry_run_predicts_the_file_and_writes_nothing(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(safetensors_bytes(model()))
    codec = ["--codec", "uniform(bits=4, group=64) | huffman"]
    before = sorted(tmp_path.iterdir())
    # The codec alone fails at the NaN of "double"; the recipe leaves that tensor lossless.
    recipe = '[[rule]]\nmatch = "double"\ncodec = "lossless"\n'
    recipe += '[[rule]]\nmatch = "*.weight"\ncodec = "uniform(bits=4, group=64) | huffman"\n'
    (tmp_path / "r.toml").write_text(recipe)
    qcodec("encode", "m.safetensors", *codec, cwd=tmp_path, code=1)
    arguments = ["encode", "m.safetensors", "--recipe", "r.toml"]
    (predicted,) = qcodec_json(*arguments, "--dry-run", cwd=tmp_path)["files"]
    assert sorted(p for p in tmp_path.iterdir() if p.suffix != ".toml") == before
    rows = {row["name"]: row for row in predicted["tensors"]}
    assert rows["layer.weight"]["codec"] == "uniform(bits=4, group=64) | huffman"
    assert rows["layer.bias"]["codec"].startswith("lossless | ")
    assert rows["layer.weight"]["shape"] == [24, 40]
    assert rows["empty"]["bits_per_weight"] is None
    qcodec(*arguments, "-o", "m.qc", cwd=tmp_path)
    assert predicted["output_bytes"] == (tmp_path / "m.qc").stat().st_size
    with library.safe_open(tmp_path / "m.qc") as f:
        for name, row in rows.items():
            assert row["bytes"] == f.entry(name).stored_bytes


def test_entropy_of_a_dry_run_worked_out_by_hand(tmp_path):
    # Bytes 0, 0, 1, 2: shares 1/2, 1/4, 1/4, so 1.5 bits. A constant has none. The two planes of
    # U16 have 1 bit (256 or 0 above) and 0 bits.
    tensors = {
        "bytes": ("U8", np.array([0, 0, 1, 2], np.uint8)),
        "constant": ("U8", np.full(9, 7, np.uint8)),
        "planes": ("U16", np.array([0, 256], np.uint16)),
    }
    (tmp_path / "m.safetensors").write_bytes(safetensors_bytes(tensors))
    (result,) = qcodec_json("encode", "--dry-run", "m.safetensors", cwd=tmp_path)["files"]
    assert [row["entropy_bits_per_weight"] for row in result["tensors"]] == [1.5, 0, 1]
    text = qcodec("encode", "--dry-run", "m.safetensors", cwd=tmp_path).stdout
    assert "1.500" in text
    assert "nothing is written" in text


def test_a_recipe_that_matches_nothing_is_refused(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(safetensors_bytes(model()))
    (tmp_path / "r.toml").write_text('[[rule]]\nmatch = "typo*"\ncodec = "lossless"\n')
    done = qcodec("encode", "m.safetensors", "--recipe", "r.toml", cwd=tmp_path, code=1)
    assert "m.safetensors: recipe: rule 'typo*' gets no tensor" in done.stderr


# ---- inspect


def test_inspect_tells_sizes_codecs_and_metadata(tmp_path):
    path = tmp_path / "m.qc"
    shared = np.zeros((4, 8), np.float32)
    tensors = {"w": shared, "tied": shared, "b": np.arange(3, dtype=np.int16)}
    library.save_file(tensors, path, "uniform(bits=8, axis=0) | bitpack", {"who": "me"})
    (result,) = qcodec_json("inspect", "m.qc", cwd=tmp_path)["files"]
    rows = {row["name"]: row for row in result["tensors"]}
    assert list(rows) == ["w", "b"]
    assert rows["w"]["codec"] == "uniform(bits=8, axis=0) | bitpack"
    assert (rows["w"]["weights"], rows["w"]["decoded_bytes"], rows["w"]["chunks"]) == (32, 128, 1)
    assert result["aliases"] == {"tied": "w"}
    assert result["metadata"] == {"who": "me"}
    assert result["file_bytes"] == path.stat().st_size
    # A header of 16 bytes, a trailer of 48, chunks too small to be padded, and the index.
    stored = sum(row["stored_bytes"] for row in rows.values())
    assert result["file_bytes"] == 16 + stored + result["index_bytes"] + 48
    assert result["ratio"] == 134 / path.stat().st_size
    text = qcodec("inspect", "m.qc", cwd=tmp_path).stdout
    for part in ("4x8", "tied is the same as w", "metadata who: me", "2 tensors, 35 weights"):
        assert part in text


def test_long_names_are_not_cut_in_a_pipe(tmp_path):
    name = "layer." * 100 + "weight"
    library.save_file({name: np.zeros(1)}, tmp_path / "m.qc")
    assert name in qcodec("inspect", "m.qc", cwd=tmp_path).stdout


# ---- verify


def test_verify_passes_a_sound_file(tmp_path):
    library.save_file(
        {"a": np.zeros(9), "b": np.ones((2, 2))}, tmp_path / "m.qc", "uniform(bits=2)"
    )
    assert qcodec("verify", "m.qc", cwd=tmp_path).stdout == "m.qc: 2 tensors, no problem\n"
    (result,) = qcodec_json("verify", "m.qc", cwd=tmp_path)["files"]
    assert (result["problems"], result["warnings"], result["exit_code"]) == ([], [], 0)


def test_verify_reports_every_damaged_chunk_and_goes_on(tmp_path):
    path = tmp_path / "m.qc"
    rng = np.random.default_rng(3)
    tensors = {
        "large": rng.standard_normal(3_000_000).astype(np.float16),
        "fine": np.zeros(5),
        "small": rng.standard_normal(700),
    }
    library.save_file(tensors, path)
    raw = bytearray(path.read_bytes())
    with library.safe_open(path) as f:
        for chunk in (0, 2):
            raw[int(f.entry("large").offsets[chunk]) + 50] ^= 1
        raw[f.entry("small").shared.offset + 50] ^= 1
    path.write_bytes(raw)
    (result,) = qcodec_json("verify", "m.qc", cwd=tmp_path, code=2)["files"]
    places = ["'large': chunk 0,", "'large': chunk 2,", "'fine': shared chunk,"]  # of both
    assert len(result["problems"]) == 3
    for problem, place in zip(result["problems"], places, strict=True):
        assert problem.startswith("m.qc: tensor ")
        assert place in problem


def test_verify_finds_bytes_between_chunks(tmp_path):
    path = tmp_path / "m.qc"
    noise = np.frombuffer(np.random.default_rng(4).bytes(70_000), np.uint8)
    library.save_file({"a": np.arange(7, dtype=np.uint8), "b": noise}, path)
    with library.safe_open(path) as f:
        gap = int(f.entry("b").offsets[0]) - 1
    raw = bytearray(path.read_bytes())
    assert raw[gap] == 0
    raw[gap] = 1
    path.write_bytes(raw)
    (result,) = qcodec_json("verify", "m.qc", cwd=tmp_path, code=2)["files"]
    assert len(result["problems"]) == 1
    assert "'b': chunk 0" in result["problems"][0]
    assert "not all zero" in result["problems"][0]


def test_verify_warns_of_names_that_look_alike(tmp_path):
    tensors = {name: np.zeros(1) for name in ("Weight", "weight", "ﬁt", "fit", "other")}
    library.save_file(tensors, tmp_path / "m.qc")
    (result,) = qcodec_json("verify", "m.qc", cwd=tmp_path)["files"]
    assert len(result["warnings"]) == 2
    assert "'Weight' and 'weight'" in result["warnings"][0]


def test_verify_of_a_file_that_does_not_open_ends_with_2(tmp_path):
    (tmp_path / "m.qc").write_bytes(b"PK\3\4 something else")
    library.save_file({"a": np.zeros(3)}, tmp_path / "n.qc")
    result = qcodec_json("verify", "m.qc", "n.qc", cwd=tmp_path, code=2)
    assert [len(row["problems"]) for row in result["files"]] == [1, 0]


def test_a_codec_of_the_future_is_shown_and_leaves_other_tensors_checked(tmp_path):
    from qcodec.container.writer import Writer
    from qcodec.packing import add_tensor
    from qcodec.pipeline import parse

    with open(tmp_path / "m.qc", "wb") as stream:
        writer = Writer(stream)
        config = {"quantizer": {"name": "oracle"}, "coder": {"name": "huffman"}}
        writer.add("future", "F32", (3,), config, [b"??"])
        add_tensor(writer, "known", np.zeros(3), parse("lossless"), None)
        writer.finish()
    assert "oracle" in qcodec("inspect", "m.qc", cwd=tmp_path).stdout
    (result,) = qcodec_json("verify", "m.qc", cwd=tmp_path, code=3)["files"]
    assert len(result["problems"]) == 1
    assert "m.qc: tensor 'future': unknown quantizer 'oracle'" in result["problems"][0]


# ---- compare


def test_compare_shows_the_worst_tensor_first(tmp_path):
    a = {"same": np.array([1.0]), "near": np.array([3.0, 4.0]), "far": np.array([3.0, 4.0])}
    b = {"same": np.array([1.0]), "near": np.array([3.0, 4.5]), "far": np.array([8.0, 4.0])}
    np.savez(tmp_path / "a.npz", **a)
    library.save_file(b, tmp_path / "b.qc")
    result = qcodec_json("compare", "a.npz", "b.qc", cwd=tmp_path)
    assert [row["name"] for row in result["tensors"]] == ["far", "near", "same"]
    far, near, same = result["tensors"]
    assert (far["max_abs"], far["mse"], far["relative_l2"], far["snr_db"]) == (5, 12.5, 1, 0)
    assert (near["max_abs"], near["mse"]) == (0.5, 0.125)
    assert near["snr_db"] == pytest.approx(20)
    assert (same["max_abs"], same["snr_db"]) == (0, "inf")
    lines = qcodec("compare", "a.npz", "b.qc", cwd=tmp_path).stdout.splitlines()
    order = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in a]
    assert order == ["far", "near", "same"]


def test_compare_tells_of_tensors_without_counterpart_and_ends_with_1(tmp_path):
    np.savez(tmp_path / "a.npz", both=np.zeros(2), gone=np.zeros(1), shape=np.zeros((2, 1)))
    np.savez(tmp_path / "b.npz", both=np.zeros(2), new=np.zeros(1), shape=np.zeros((1, 2)))
    result = qcodec_json("compare", "a.npz", "b.npz", cwd=tmp_path, code=1)
    assert [row["name"] for row in result["tensors"]] == ["both"]
    assert (result["only_in_a"], result["only_in_b"]) == (["gone"], ["new"])
    assert result["other_shape"] == [{"name": "shape", "a": [2, 1], "b": [1, 2]}]
    text = qcodec("compare", "a.npz", "b.npz", cwd=tmp_path, code=1).stdout
    assert "only in a.npz: gone" in text
    assert "shapes differ: shape, 2x1 and 1x2" in text


def test_compare_of_different_dtypes(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.array([1.0, 2.0], np.float32))
    np.savez(tmp_path / "b.npz", w=np.array([1.0, 2.0], np.float16))
    (row,) = qcodec_json("compare", "a.npz", "b.npz", cwd=tmp_path)["tensors"]
    assert (row["dtype_a"], row["dtype_b"], row["max_abs"]) == ("F32", "F16", 0)


# ---- demo


def test_demo_shows_what_compression_saves_and_costs(tmp_path):
    result = qcodec_json("demo", cwd=tmp_path)
    # 993 of 1,000 images, counted by PyTorch when the network was trained.
    assert result["top1_before"] == 99.3
    rows = {row["codec"]: row for row in result["codecs"]}
    assert rows["lossless"]["top1_after"] == 99.3
    assert rows["lossless"]["snr_db"] == "inf"
    eight = rows["uniform(bits=8, axis=0) | huffman"]
    assert 98.8 <= eight["top1_after"] <= 99.8
    assert 4 < eight["ratio"] < 8
    # 61,706 float32 weights.
    for row in result["codecs"]:
        assert row["ratio"] == pytest.approx(61_706 * 4 / row["bytes"])
        assert row["encode_mb_per_s"] > 0
        assert row["decode_mb_per_s"] > 0
    assert list(tmp_path.iterdir()) == []


def test_demo_draws_a_picture_and_does_not_overwrite_one(tmp_path):
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib")
    text = qcodec("demo", "--plot", "p.png", cwd=tmp_path, MPLBACKEND="tkagg").stdout
    assert "61,706 weights" in text
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "--force" in qcodec("demo", "--plot", "p.png", cwd=tmp_path, code=1).stderr


def test_demo_without_matplotlib_says_how_to_get_it(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('hidden by the test')")
    code = "import sys; sys.path.insert(0, '.'); from qcodec.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--plot", "p.png"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert 'pip install "qcodec[plot]"' in done.stderr
    assert not (tmp_path / "p.png").exists()
