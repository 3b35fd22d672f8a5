"""Exit codes, one clear line for each error, and nothing that existed is lost."""

import os
import signal
import subprocess
import time

import numpy as np
import pytest
from command_line import COMMAND, model, qcodec, qcodec_json, safetensors_bytes

import qcodec as library


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "m.safetensors").write_bytes(safetensors_bytes(model()))
    library.save_file({"a": np.arange(2000, dtype=np.float32)}, tmp_path / "good.qc")
    return tmp_path


def damage(path, at):
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["encode"], "Missing argument"),
        (["frobnicate"], "No such command"),
        (["encode", "m.safetensors", "--bogus"], "No such option"),
        (["encode", "m.safetensors", "--codec", "zip"], "unknown stage 'zip'"),
        (["encode", "m.safetensors", "--codec", "x", "--recipe", "y"], "give one of"),
        (["encode", "m.safetensors", "--threads", "0"], "0 is not in the range"),
        (["encode", "m.safetensors", "good.qc", "-o", "one.qc"], "several inputs need a folder"),
        (["encode", "good.qc", "--force"], "good.qc is both input and output"),
        (["decode", "good.qc", "-o", "model.pt"], "neither in .safetensors nor in .npz"),
        (["decode", "good.qc", "--dtype", "i8"], "'i8' is not one of"),
        (["demo", "--plot", "plot.pdf"], "does not end in .png"),
    ],
)
def test_usage_errors_end_with_1(folder, arguments, match):
    before = sorted(os.listdir(folder))
    done = qcodec(*arguments, cwd=folder, code=1)
    assert match in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(os.listdir(folder)) == before


def test_a_codec_that_cannot_take_a_tensor_names_file_tensor_and_element(folder):
    weights = np.array([[1.0, np.nan]], np.float32)
    (folder / "nan.safetensors").write_bytes(safetensors_bytes({"w": ("F32", weights)}))
    done = qcodec("encode", "nan.safetensors", "--codec", "uniform(bits=4)", cwd=folder, code=1)
    for part in ("nan.safetensors", "'w'", "[0, 1]", "lossless"):
        assert part in done.stderr
    assert not (folder / "nan.qc").exists()


def test_damage_ends_with_2_and_leaves_no_output(folder):
    damage(folder / "good.qc", 500)
    done = qcodec("decode", "good.qc", cwd=folder, code=2)
    assert "good.qc: tensor 'a': chunk 0" in done.stderr
    assert sorted(os.listdir(folder)) == ["good.qc", "m.safetensors"]


def test_damage_half_way_leaves_the_old_output(folder):
    rng = np.random.default_rng(2)
    tensors = {name: rng.standard_normal(3000, dtype=np.float32) for name in "ab"}
    library.save_file(tensors, folder / "two.qc")
    damage(folder / "two.qc", (folder / "two.qc").stat().st_size // 2 + 3000)
    (folder / "two.safetensors").write_bytes(b"old")
    qcodec("decode", "two.qc", "--force", cwd=folder, code=2)
    assert (folder / "two.safetensors").read_bytes() == b"old"
    assert not list(folder.glob(".*"))

    np.savez(folder / "two.npz", **tensors)
    damage(folder / "two.npz", (folder / "two.npz").stat().st_size // 2 + 3000)
    before = (folder / "two.qc").read_bytes()
    qcodec("encode", "two.npz", "--force", cwd=folder, code=2)
    assert (folder / "two.qc").read_bytes() == before
    assert not list(folder.glob(".*"))


def test_a_truncated_safetensors_file_ends_with_2(folder):
    raw = (folder / "m.safetensors").read_bytes()
    (folder / "m.safetensors").write_bytes(raw[:-1])
    done = qcodec("encode", "m.safetensors", cwd=folder, code=2)
    assert done.stderr.startswith("error: m.safetensors: ")
    assert not (folder / "m.qc").exists()


def test_a_duplicate_name_ends_with_2(folder):
    header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' * 2
    header = header.replace(b",{", b",")[:-1].replace(b'},{"a"', b'},"a"') + b"}"
    (folder / "d.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"x")
    assert "duplicate key 'a'" in qcodec("encode", "d.safetensors", cwd=folder, code=2).stderr


def test_a_kept_header_that_lies_ends_with_2(folder):
    from qcodec.container.writer import Writer
    from qcodec.packing import add_tensor
    from qcodec.pipeline import parse

    text = '{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    with open(folder / "lie.qc", "wb") as stream:
        writer = Writer(stream)
        writer.set_source({"format": "safetensors", "header": text})
        add_tensor(writer, "a", np.zeros(1, np.uint8), parse("lossless"), None)
        writer.finish()
    assert "lie.qc: the safetensors header" in qcodec("decode", "lie.qc", cwd=folder, code=2).stderr
    assert not (folder / "lie.safetensors").exists()
    assert "header" in qcodec("verify", "lie.qc", cwd=folder, code=2).stdout


@pytest.mark.parametrize(
    "arguments", [["encode", "model.pt"], ["encode", "good.qc", "-o", "new.qc"]]
)
def test_unsupported_input_ends_with_3(folder, arguments):
    (folder / "model.pt").write_bytes(b"x")
    assert arguments[1] in qcodec(*arguments, cwd=folder, code=3).stderr


def test_an_unsupported_dtype_ends_with_3(folder):
    (folder / "f4.safetensors").write_bytes(safetensors_bytes({"a": ("F4", np.zeros(1, np.uint8))}))
    assert "dtype 'F4'" in qcodec("encode", "f4.safetensors", cwd=folder, code=3).stderr


def test_bfloat16_to_npz_ends_with_3_and_says_what_to_do(folder):
    qcodec("encode", "m.safetensors", cwd=folder)
    done = qcodec("decode", "m.qc", "-o", "m.npz", cwd=folder, code=3)
    assert "'brain'" in done.stderr
    assert "another dtype" in done.stderr
    assert not (folder / "m.npz").exists()


def test_a_limit_ends_with_4(folder):
    (folder / "bomb.safetensors").write_bytes(b"\xff" * 8 + b"{}")
    assert "limit" in qcodec("encode", "bomb.safetensors", cwd=folder, code=4).stderr


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["encode", "missing.safetensors"], "missing.safetensors: No such file"),
        (["encode", "*.npz"], "*.npz: no file matches"),
        (["decode", "missing.qc"], "missing.qc: No such file"),
        (["encode", "m.safetensors", "-o", "no/such/m.qc"], "no/such: no such folder"),
        (["encode", "m.safetensors", "--recipe", "missing.toml"], "missing.toml: No such file"),
        (["verify", "missing.qc"], "missing.qc: No such file"),
        (["inspect", "missing.qc"], "missing.qc: No such file"),
        (["compare", "good.qc", "missing.qc"], "missing.qc: No such file"),
    ],
)
def test_failing_input_and_output_ends_with_5(folder, arguments, match):
    done = qcodec(*arguments, cwd=folder, code=5)
    assert done.stderr == f"error: {match}\n" or done.stderr.startswith(f"error: {match}")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_overwritten_without_force(folder):
    (folder / "m.qc").write_bytes(b"precious")
    assert "--force" in qcodec("encode", "m.safetensors", cwd=folder, code=1).stderr
    assert (folder / "m.qc").read_bytes() == b"precious"
    qcodec("encode", "m.safetensors", "--force", cwd=folder)
    before = (folder / "m.safetensors").read_bytes()
    assert "--force" in qcodec("decode", "m.qc", cwd=folder, code=1).stderr
    qcodec("decode", "m.qc", "--force", cwd=folder)
    assert (folder / "m.safetensors").read_bytes() == before


def test_two_inputs_never_become_one_output(folder):
    np.savez(folder / "m.npz", a=np.zeros(1))
    done = qcodec("encode", "m.safetensors", "m.npz", cwd=folder, code=1)
    assert "both become m.qc" in done.stderr
    assert not (folder / "m.qc").exists()


def test_globs_and_folders_take_several_files_and_go_on_after_a_bad_one(folder):
    np.savez(folder / "n.npz", a=np.zeros(1))
    (folder / "bad.npz").write_bytes(b"bad")
    (folder / "out").mkdir()
    result = qcodec_json("encode", "*.npz", "m.safetensors", "-o", "out", cwd=folder, code=2)
    assert [row["file"] for row in result["files"]] == ["bad.npz", "n.npz", "m.safetensors"]
    assert "error" in result["files"][0]
    assert sorted(os.listdir(folder / "out")) == ["m.qc", "n.qc"]


def test_control_characters_of_a_file_do_not_reach_the_terminal(folder):
    evil = "\x1b[2Jx\u202ey"
    tensors = {evil: ("F32", np.array([[np.nan]], np.float32))}
    (folder / "evil.safetensors").write_bytes(safetensors_bytes(tensors, {"\x1bk": "\x07v"}))
    done = qcodec("encode", "evil.safetensors", "--codec", "uniform(bits=4)", cwd=folder, code=1)
    assert "\x1b" not in done.stderr
    qcodec("encode", "evil.safetensors", cwd=folder)
    for verb in ("inspect", "verify"):
        out = qcodec(verb, "evil.qc", cwd=folder).stdout
        assert not set("\x1b\u202e\x07") & set(out)
    assert "\\x1b[2Jx\\u202ey" in qcodec("inspect", "evil.qc", cwd=folder).stdout


def test_markup_in_names_is_no_markup(folder):
    tensors = {"[bold]x[/bold]": ("U8", np.zeros(1, np.uint8))}
    (folder / "b.safetensors").write_bytes(safetensors_bytes(tensors))
    qcodec("encode", "b.safetensors", cwd=folder)
    assert "[bold]x[/bold]" in qcodec("inspect", "b.qc", cwd=folder).stdout


def test_interruption_ends_with_130_and_leaves_nothing(folder):
    # 400 MB that take seconds; sparse, so the test writes almost nothing.
    n = 100_000_000
    header = b'{"a":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (n, 4 * n)
    path = folder / "big.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + 4 * n)
    command = [*COMMAND, "encode", "big.safetensors", "--threads", "1"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(folder.glob(".big.qc*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.03)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "error: interrupted" in stderr
    assert not list(folder.glob("*big.qc*")) + list(folder.glob(".*"))
