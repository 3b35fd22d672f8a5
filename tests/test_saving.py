"""Saving is atomic: after any failure the old file is there, whole, and nothing else."""

import io
import os
import stat

import numpy as np
import pytest

import qcodec
from qcodec.container import writer

OLD = {"a": np.arange(6, dtype=np.float32)}
NEW = {name: np.arange(3000, dtype=np.float32) * k for k, name in enumerate("bcd")}


class InjectedError(OSError):
    """What the operating system says in these tests."""


class FailingStream(io.FileIO):
    """A file whose n-th write fails half-way, as on a full disk."""

    left = 0

    def write(self, data):
        FailingStream.left -= 1
        if FailingStream.left == 0:
            super().write(bytes(data)[: len(data) // 2])
            raise InjectedError(28, "No space left on device")
        return super().write(data)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "m.qc"
    qcodec.save_file(OLD, path)
    return path


def assert_untouched(path, before):
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def fail_at(monkeypatch, name, n):
    """Make the n-th call of os.<name> fail; returns the list of calls."""
    real = getattr(os, name)
    calls = []

    def wrapper(*args, **kwargs):
        calls.append(args)
        if len(calls) == n:
            raise InjectedError(5, "Input/output error")
        return real(*args, **kwargs)

    monkeypatch.setattr(writer.os, name, wrapper)
    return calls


def test_failure_at_any_write_leaves_the_old_file(target, monkeypatch):
    monkeypatch.setattr(writer.os, "fdopen", lambda handle, mode: FailingStream(handle, mode))
    before = target.read_bytes()
    failures = 0
    for n in range(1, 100):
        FailingStream.left = n
        try:
            qcodec.save_file(NEW, target)
        except InjectedError:
            failures += 1
            assert_untouched(target, before)
        else:
            break
    # header, a chunk of each of the three, index and trailer
    assert failures == 6
    assert list(qcodec.load_file(target)) == list(NEW)


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
def test_failure_of_a_system_call_leaves_the_old_file(target, monkeypatch, call):
    before = target.read_bytes()
    fail_at(monkeypatch, call, 1)
    with pytest.raises(InjectedError):
        qcodec.save_file(NEW, target)
    assert_untouched(target, before)


def test_data_are_on_disk_before_the_file_takes_its_name(target, monkeypatch):
    order = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            writer.os,
            name,
            lambda *args, name=name, real=real: (order.append(name), real(*args))[1],
        )
    qcodec.save_file(NEW, target)
    assert order == ["fsync", "replace", "fsync"]


def test_failure_to_sync_the_folder_is_reported_and_the_new_file_is_whole(target, monkeypatch):
    fail_at(monkeypatch, "fsync", 2)
    with pytest.raises(InjectedError):
        qcodec.save_file(NEW, target)
    assert list(qcodec.load_file(target)) == list(NEW)
    assert [entry.name for entry in target.parent.iterdir()] == ["m.qc"]


@pytest.mark.parametrize("bad", [np.nan, "object", "dtype"])
def test_bad_tensor_after_good_ones_leaves_the_old_file(target, bad):
    before = target.read_bytes()
    last = {
        "object": np.array([object()]), "dtype": np.zeros(2, "complex128"),
    }.get(bad, np.full((2, 2), np.nan, np.float32))  # fmt: skip
    with pytest.raises(qcodec.QCodecError):
        qcodec.save_file(NEW | {"last": last}, target, {"last": "uniform(bits=8)"})
    assert_untouched(target, before)


def test_interrupt_leaves_the_old_file(target, monkeypatch):
    before = target.read_bytes()

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(writer.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        qcodec.save_file(NEW, target)
    assert_untouched(target, before)


def test_saving_onto_the_loaded_file_works(target):
    tensors = qcodec.load_file(target)
    with qcodec.safe_open(target) as f:
        qcodec.save_file({"a": f.get_tensor("a") + 1} | tensors, target)
        np.testing.assert_array_equal(f.get_tensor("a"), OLD["a"])
    np.testing.assert_array_equal(qcodec.load_file(target)["a"], OLD["a"])


def test_saving_through_a_symbolic_link_keeps_the_link(target):
    link = target.with_name("link.qc")
    link.symlink_to(target.name)
    qcodec.save_file(NEW, link)
    assert link.is_symlink()
    assert list(qcodec.load_file(target)) == list(NEW)


def test_permissions_of_the_replaced_file_are_kept(target):
    os.chmod(target, 0o640)
    qcodec.save_file(NEW, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_new_file_has_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        qcodec.save_file(NEW, tmp_path / "m.qc")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m.qc").stat().st_mode) == 0o640


def test_missing_folder_is_an_os_error_and_makes_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        qcodec.save_file(NEW, tmp_path / "none" / "m.qc")
    assert list(tmp_path.iterdir()) == []


def test_target_that_is_a_directory_is_an_os_error_and_leaves_nothing(tmp_path):
    (tmp_path / "m.qc").mkdir()
    with pytest.raises(OSError):  # noqa: PT011 - the kind depends on the system
        qcodec.save_file(NEW, tmp_path / "m.qc")
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.qc"]


def test_equal_input_gives_equal_files(tmp_path):
    for name in ("1.qc", "2.qc"):
        qcodec.save_file(NEW, tmp_path / name, "uniform(bits=4)", {"b": "1", "a": "2"}, threads=3)
    assert (tmp_path / "1.qc").read_bytes() == (tmp_path / "2.qc").read_bytes()


def test_tied_weights_are_stored_once_and_come_back_under_both_names(tmp_path):
    w = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float32)
    qcodec.save_file({"embed": w, "head": w, "view": w.T}, tmp_path / "tied.qc")
    qcodec.save_file({"embed": w, "view": w.T}, tmp_path / "alone.qc")
    sizes = [(tmp_path / name).stat().st_size for name in ("tied.qc", "alone.qc")]
    assert sizes[0] - sizes[1] == len('"aliases":{"head":"embed"},')
    back = qcodec.load_file(tmp_path / "tied.qc")
    assert back["head"] is back["embed"]
    np.testing.assert_array_equal(back["view"], w.T)
