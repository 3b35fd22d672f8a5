"""Fixed-rate formats on the same weights, and the measured points of NNCodec.

A format takes each tensor as one flat run of blocks, the last filled up with zeros. Bytes are those
of blocks and scales; no container is counted, and tensors that a format leaves alone count 4 bytes
a value.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[np.float32]
Coded = tuple[int, Array]

# Quantiles of the normal distribution with an exact zero: arXiv:2305.14314, appendix E.
NF4 = np.array(
    [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
     -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
     0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
     0.7229568362236023, 1.0],
    np.float32,
)  # fmt: skip
NF4_BLOCK = 64
ABSMAX_BLOCK = 256


def _blocks(values: Array, size: int) -> Array:
    """Rows of `size` values, the last filled up with zeros."""
    return np.pad(values.ravel(), (0, -values.size % size)).reshape(-1, size)


def _round_absmax(absmax: Array) -> Array:
    """Block maxima in 8 bits: deviations from their mean, `ABSMAX_BLOCK` to a scale."""
    mean = absmax.mean()
    rows = _blocks(absmax - mean, ABSMAX_BLOCK)
    scale = np.abs(rows).max(axis=1, keepdims=True) / 127
    scale[scale == 0] = 1
    rounded: Array = np.rint(rows / scale) * scale + mean
    return rounded.ravel()[: absmax.size]


def nf4(weights: Array, double: bool) -> Coded:
    """NormalFloat of 4 bits, one absolute maximum for each block of 64.

    Parameters
    ----------
    weights : ndarray of float32
        Any shape.
    double : bool
        Whether the maxima are quantized too, linearly to 8 bits: 4.127 instead of 4.5 bits.

    Returns
    -------
    int, ndarray of float32
        Bytes, and the decoded weights.

    References
    ----------
    .. [1] T. Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", arXiv:2305.14314,
       2023, section 3.
    """
    blocks = _blocks(weights, NF4_BLOCK)
    absmax = np.abs(blocks).max(axis=1)
    scale = absmax.copy()
    scale[scale == 0] = 1
    nearest = np.searchsorted((NF4[1:] + NF4[:-1]) / 2, blocks / scale[:, None])
    decoded = NF4[nearest] * (_round_absmax(absmax) if double else absmax)[:, None]
    size = blocks.size // 2 + 4 * absmax.size
    if double:
        size = blocks.size // 2 + absmax.size + 4 * -(-absmax.size // ABSMAX_BLOCK) + 4
    return size, decoded.ravel()[: weights.size].reshape(weights.shape)


def ggml(weights: Array, kind: str) -> Coded:
    """A block format of the package ``gguf``, skipped where that is missing."""
    gguf = pytest.importorskip("gguf", reason="pip install gguf", exc_type=ImportError)
    type_ = gguf.GGMLQuantizationType[kind]
    blocks = _blocks(weights, 32).reshape(1, -1)
    coded = gguf.quants.quantize(blocks, type_)
    decoded: Array = gguf.quants.dequantize(coded, type_)
    return coded.nbytes, decoded.ravel()[: weights.size].reshape(weights.shape)


FORMATS: dict[str, Callable[[Array], Coded]] = {
    "float32": lambda w: (w.nbytes, w),
    "Q8_0": lambda w: ggml(w, "Q8_0"),
    "Q4_0": lambda w: ggml(w, "Q4_0"),
    "MXFP4": lambda w: ggml(w, "MXFP4"),
    "NF4": lambda w: nf4(w, double=False),
    "NF4, double": lambda w: nf4(w, double=True),
}


@dataclass(frozen=True)
class NNCodecPoint:
    """One line of ``peers_nncodec.csv``."""

    model: str
    quantizer: str
    lambda_scale: str
    qp: int
    bytes: int
    snr_db: float
    top1: float | None

    @property
    def series(self) -> str:
        """Points that differ in the quantization parameter alone share this."""
        rdo = "" if self.lambda_scale == "0" else f", lambda {self.lambda_scale}"
        return f"NNCodec {self.quantizer}{rdo}"


def nncodec(model: str) -> list[NNCodecPoint]:
    """NNCodec's points for a model; none for other sources."""
    path = Path(__file__).with_name("peers_nncodec.csv")
    lines = [x for x in path.read_text().splitlines() if not x.startswith("#")]
    return [
        NNCodecPoint(
            model,
            row["quantizer"],
            row["lambda_scale"],
            int(row["qp"]),
            int(row["bytes"]),
            float(row["weight_snr_db"]),
            float(row["top1_percent"]) if row["top1_percent"] else None,
        )
        for row in csv.DictReader(lines)
        if row["model"] == model
    ]
