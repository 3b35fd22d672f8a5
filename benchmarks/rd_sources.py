"""What the rate-distortion benchmark compresses: random samples and real models."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from data import minilm_path, shared
from safetensors.numpy import load_file

SAMPLES = 1 << 22
PROBE = 1 << 19
SEED = 20

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """Named tensors, and which of them the codec under test takes.

    Attributes
    ----------
    name : str
    tensors : dict of str to ndarray
        Float32.
    is_model : bool
        True: the codec takes the tensors of two or more dimensions. False: it takes all.
    """

    name: str
    tensors: dict[str, Array]
    is_model: bool = True

    @cached_property
    def weights(self) -> list[str]:
        """Names of the tensors that the codec takes; the SNR is over these."""
        return [n for n, t in self.tensors.items() if t.ndim >= 2 or not self.is_model]

    @cached_property
    def size(self) -> int:
        """Values of all tensors; rates are bits per one of these."""
        return sum(t.size for t in self.tensors.values())

    @cached_property
    def rms(self) -> float:
        """Root mean square of the weights."""
        return float(np.sqrt(np.mean(np.square(self.flat(self.tensors), dtype=np.float64))))

    def flat(self, tensors: dict[str, Array]) -> Array:
        """The weights among `tensors`, one after another."""
        return np.concatenate([tensors[n].ravel() for n in self.weights])

    def probe(self) -> "Source":
        """A part of about `PROBE` weights, to search on; the source itself if it is small."""
        share = self.size // PROBE
        if share <= 1:
            return self
        # Rows from all over: those of an embedding are ordered by how often their token occurs.
        parts = {n: t[::share] for n, t in self.tensors.items()}
        return replace(self, tensors=parts)


def _sample(name: str, quick: bool) -> Source:
    rng = np.random.Generator(np.random.PCG64(SEED))
    n = PROBE if quick else SAMPLES
    draw = rng.standard_normal(n) if name == "gaussian" else rng.laplace(scale=0.5**0.5, size=n)
    return Source(name, {"": draw.astype(np.float32)}, is_model=False)


def _resnet(name: str, quick: bool) -> Source:
    return Source(name, load_file(shared(f"{name}.safetensors")))


def _minilm(name: str, quick: bool) -> Source:
    tensors = {n: t for n, t in load_file(minilm_path()).items() if t.dtype == np.float32}
    if quick:
        # Another name, since figures of the whole model are no measure for a part.
        part = {n: t for n, t in tensors.items() if "layer.0." in n}
        return Source(f"{name}-part", part)
    return Source(name, tensors)


SOURCES: dict[str, Callable[[str, bool], Source]] = {
    "gaussian": _sample,
    "laplacian": _sample,
    "resnet20": _resnet,
    "resnet32": _resnet,
    "minilm": _minilm,
}


def load(name: str, quick: bool = False) -> Source:
    """A source by its name.

    Parameters
    ----------
    name : str
        A key of `SOURCES`.
    quick : bool
        Fewer samples, or fewer tensors of a large model.

    Raises
    ------
    pytest.skip.Exception
        Its file is missing; the message says which, or how to get it.
    """
    return SOURCES[name](name, quick)
