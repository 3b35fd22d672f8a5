"""Frozen files of every version decode to their frozen values, and frozen bad files are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import reference
from golden import make

import qcodec
from qcodec import registry

GOLDEN = Path(__file__).parent / "golden"
NAMES = [*make.FILES, make.MIXED, make.SHARED]
REJECTED = sorted(path.name for path in (GOLDEN / "rejected").glob("*.qc"))


def frozen(name):
    for suffix in (".qc", ".npz"):
        path = GOLDEN / (name + suffix)
        assert path.exists(), f"{path} is missing: frozen files stay for ever"
    with np.load(GOLDEN / f"{name}.npz") as values:
        return GOLDEN / f"{name}.qc", dict(values)


@pytest.mark.parametrize("name", NAMES)
def test_engine_decodes_a_frozen_file_to_its_values(isa, name):
    path, values = frozen(name)
    tensors = qcodec.load_file(path)
    with qcodec.safe_open(path) as f:
        assert [f"{f.get_dtype(key)}:{key}" for key in f.keys()] == list(values)  # noqa: SIM118
    for (key, expected), got in zip(values.items(), tensors.values(), strict=True):
        assert got.shape == expected.shape, key
        assert got.tobytes() == expected.tobytes(), key


@pytest.mark.parametrize("name", NAMES)
def test_reference_decodes_a_frozen_file_to_its_values(name):
    path, values = frozen(name)
    file = reference.open_file(path.read_bytes())
    for key, expected in values.items():
        got = file.decode(key.split(":", 1)[1])
        assert got.shape == expected.shape, key
        assert got.tobytes() == expected.tobytes(), key


def test_frozen_file_of_many_tensors_keeps_names_aliases_and_metadata():
    with qcodec.safe_open(GOLDEN / f"{make.MIXED}.qc") as f:
        assert f.metadata() == {"format": "pt", "note": 'quotes " and \\ and\nlines, é 日本'}
        assert f.contents.aliases == {"tied": "blk.0.weight", "tied.again": "blk.0.weight"}
        assert f.contents.source == {"format": "safetensors", "header": '{"a": 1}'}
        assert f.get_shape("empty") == [3, 0, 2]
        assert f.get_shape("") == []
        assert str(f.get_codec("blk.0.half")) == "uniform(bits=8, group=7) | bitpack"
        np.testing.assert_array_equal(f.get_tensor("näme/../x"), [0, 1, 2, 3, 4])


def test_frozen_lossless_files_hold_what_was_put_in():
    for name in (n for n in make.FILES if "lossless" in n):
        np.testing.assert_array_equal(
            qcodec.load_file(GOLDEN / f"{name}.qc")[""], make.golden_tensor(name)
        )


def test_every_quantizer_and_coder_has_a_frozen_file():
    frozen_pairs = {
        (codec.quantizer.name, codec.coder.name) for codec in map(qcodec.parse, make.FILES.values())
    }
    coders = registry.stages("coder")
    lossy = {name for name in coders if coders[name].lossy}
    pairs = {(q, c) for q in registry.stages("quantizer") for c in coders if c not in lossy}
    assert frozen_pairs == pairs | {("uniform", c) for c in lossy}


def test_all_bad_files_are_there():
    assert sorted(f"{name}.qc" for name, _ in make.rejected.files()) == REJECTED


def decode_all(data):
    file = reference.open_file(data)
    return [file.decode(name) for name in file.tensors]


@pytest.mark.parametrize("name", REJECTED)
def test_bad_file_is_refused_with_its_error(name):
    path = GOLDEN / "rejected" / name
    with pytest.raises(qcodec.QCodecError, match="rejected/") as caught:
        qcodec.load_file(path)
    assert type(caught.value).__name__ == name.split("-")[0]

    with pytest.raises(reference.RejectedError):
        decode_all(path.read_bytes())


def test_sizes_are_those_of_the_ledger():
    # Worse or better: delete sizes.json, run make.py, and let the review see the change.
    assert make.ledger() == json.loads((GOLDEN / "sizes.json").read_text())


def test_script_leaves_frozen_files_alone(tmp_path):
    name = next(iter(make.FILES))
    (tmp_path / f"{name}.qc").write_bytes(b"frozen")
    assert make.main(tmp_path) == 1
    assert (tmp_path / f"{name}.qc").read_bytes() == b"frozen"
    with pytest.raises(FileExistsError, match="frozen"):
        make.write(tmp_path / f"{name}.qc", b"other")
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert make.main(tmp_path) == len(make.FILES) + 2 + len(REJECTED) + 1
    assert {path: path.read_bytes() for path in written} == written
