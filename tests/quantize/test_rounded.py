"""The quantizer `rounded`."""

import numpy as np
import pytest

import qcodec


def test_mantissas_round_to_nearest_and_ties_to_even():
    # 1.25 keeps 2 bits; with one, 1.25 and 1.75 are ties: to 1.0 and 2.0. 3.0 is 1.1 * 2.
    w = np.array([1.25, 1.75, 1.3, -3.0, 0.0], np.float32)
    back = qcodec.decode(qcodec.encode(w, "rounded(mantissa=1)"))
    np.testing.assert_array_equal(back, np.array([1.0, 2.0, 1.5, -3.0, 0.0], np.float32))


def test_largest_value_stays_finite():
    w = np.array([np.finfo(np.float32).max], np.float32)
    back = qcodec.decode(qcodec.encode(w, "rounded(mantissa=2)"))
    assert back[0] == np.float32(1.75 * 2.0**127)


def test_small_integer_tensors_are_refused_by_name(tmp_path):
    with pytest.raises(qcodec.InputError, match="tensor 'steps': rounded takes floating dtypes"):
        qcodec.save_file({"steps": np.arange(5)}, tmp_path / "m.qc", {"*": "rounded"})
