"""Codebooks of a whole tensor: one for each group of elements, in 32 or 16 bits."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qcodec.quantize._groups import groups_met
from qcodec.search import kmeans
from qcodec.search._jit import kernel
from qcodec.search._lloyd import Indices
from qcodec.search._points import Values

# 16 bits saved on each of n elements are worth 16 * 6.02 dB, so that one element's 16 bits, spread
# over all n, are worth a rise of the error by 16 * 2 * ln(2) / n = 22.2 / n.
_WORTH = 22


class Codebooks(NamedTuple):
    """What stands for a tensor's elements.

    Attributes
    ----------
    entries : list of float32 arrays
        One codebook for each group: ascending, distinct, and all in use.
    indices : ndarray of uint8, shape (n,)
        The entry of its group's codebook that each element takes.
    short : bool
        Whether the lower 16 bits of all entries are zero, and need not be stored.
    """

    entries: list[Values]
    indices: Indices
    short: bool


def fit_codebooks(
    values: Values,
    k: int,
    *,
    inner: int,
    dim: int,
    chunk: int,
    weights: Values | None = None,
    keep_zeros: bool = False,
    rate: float = 0.0,
) -> Codebooks:
    """Codebooks with the least squared error, rounded to 16 bits where that pays.

    Parameters
    ----------
    values : ndarray of float32, shape (n,)
        Finite.
    k : int
        Largest number of entries of a codebook, 1..256.
    inner, dim : int
        Element i belongs to group ``i // inner % dim``.
    chunk : int
        So many elements are stored together with the codebooks of the groups among them.
    weights, keep_zeros
        As in `kmeans.fit`.
    rate : float, default 0
        That of `kmeans.fit`, in units of the variance of the elements that are clustered.

    Returns
    -------
    Codebooks

    Notes
    -----
    Entries are rounded to 16 bits if that keeps them distinct, and raises the squared error by less
    than storing the tensor in as many bits fewer would: by ``22 * entries / n`` at most, entries
    counted as often as they are stored.
    """
    groups = [_part(values, g, inner, dim) for g in range(dim)]
    masses = [None if weights is None else _part(weights, g, inner, dim) for g in range(dim)]
    found = [
        _Group.fit(x, k, w, keep_zeros, rate) for x, w in zip(groups, masses, strict=True)
    ]
    rounded = [_rounded(group.entries) for group in found]
    short = all(
        _still_distinct(group.entries, entries, keep_zeros)
        for group, entries in zip(found, rounded, strict=True)
    )
    if short:
        sizes = np.array([group.entries.size for group in found])
        stored = sum(
            int(sizes[groups_met(at, min(chunk, values.size - at), inner, dim)].sum())
            for at in range(0, values.size, chunk)
        )
        least = most = 0.0
        for x, w, group, entries in zip(groups, masses, found, rounded, strict=True):
            exact, coarse = _errors(x, w, group.indices, group.entries, entries)
            least += exact
            most += coarse
        short = (most - least) * values.size <= _WORTH * stored * least
    if short:
        found = [
            group.moved(x, w, entries, keep_zeros)
            for x, w, group, entries in zip(groups, masses, found, rounded, strict=True)
        ]
    indices = np.empty(values.size, np.uint8)
    for g, group in enumerate(found):
        _place(indices, group.indices, g, inner, dim)
    return Codebooks([group.entries for group in found], indices, short)


class _Group(NamedTuple):
    """Codebook of a group, the bits that entries cost with a `price`, and the elements' entries."""

    entries: Values
    rates: npt.NDArray[np.float64] | None
    price: float
    indices: Indices

    @staticmethod
    def fit(
        values: Values, k: int, weights: Values | None, keep_zeros: bool, rate: float
    ) -> "_Group":
        price = rate * _variance(values, weights, keep_zeros) if rate else 0.0
        rates = None
        if price:
            entries, rates = kmeans.fit_with_rates(
                values, k, weights=weights, keep_zeros=keep_zeros, rate=price
            )
        else:
            entries = kmeans.fit(values, k, weights=weights, keep_zeros=keep_zeros)
        return _Group(entries, rates, price, np.empty(0, np.uint8)).moved(
            values, weights, entries, keep_zeros
        )

    def moved(
        self, values: Values, weights: Values | None, entries: Values, keep_zeros: bool
    ) -> "_Group":
        """The group with these entries instead, less those that no element takes."""
        indices = kmeans.assign(
            values,
            entries,
            rates=self.rates,
            strength=self.price,
            keep_zeros=keep_zeros and 0 in entries,  # without zeros, their entry may be gone
            weights=weights,
        )
        used = np.bincount(indices, minlength=entries.size) > 0
        if used.all():
            return self._replace(entries=entries, indices=indices)
        rates = None if self.rates is None else self.rates[used]
        places = (np.cumsum(used) - 1).astype(np.uint8)
        return _Group(entries[used], rates, self.price, places[indices])


def _part(flat: Values, g: int, inner: int, dim: int) -> Values:
    """The elements of a group."""
    if flat.size <= inner * dim:
        return flat[g * inner : (g + 1) * inner]
    return np.ascontiguousarray(flat.reshape(-1, dim, inner)[:, g]).reshape(-1)


def _place(indices: Indices, part: Indices, g: int, inner: int, dim: int) -> None:
    if indices.size <= inner * dim:
        indices[g * inner : (g + 1) * inner] = part
    else:
        indices.reshape(-1, dim, inner)[:, g] = part.reshape(-1, inner)


def _rounded(entries: Values) -> Values:
    """The nearest values of which the lower 16 bits are zero, ties to even."""
    bits = entries.view(np.uint32).astype(np.uint64)
    upper = (bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) >> np.uint64(16)
    return (upper << np.uint64(16)).astype(np.uint32).view(np.float32)


def _still_distinct(entries: Values, rounded: Values, keep_zeros: bool) -> bool:
    """Whether rounding left entries finite and apart, and kept zeros to themselves."""
    if keep_zeros and not np.array_equal(entries == 0, rounded == 0):
        return False
    return bool(np.isfinite(rounded).all() and (rounded[1:] > rounded[:-1]).all())


@kernel
def _variance(values: Values, weights: Values | None, keep_zeros: bool) -> float:
    """Weighted variance, of the elements that are not zero with `keep_zeros`."""
    mass = 0.0
    total = 0.0
    for i in range(values.size):
        if not keep_zeros or values[i] != 0:
            weight = 1.0 if weights is None else np.float64(weights[i])
            mass += weight
            total += weight * values[i]
    if mass == 0.0:
        return 0.0
    mean = total / mass
    spread = 0.0
    for i in range(values.size):
        if not keep_zeros or values[i] != 0:
            weight = 1.0 if weights is None else np.float64(weights[i])
            spread += weight * (values[i] - mean) * (values[i] - mean)
    return spread / mass


@kernel
def _errors(
    values: Values, weights: Values | None, indices: Indices, first: Values, second: Values
) -> tuple[float, float]:
    """Weighted squared errors of two codebooks."""
    one = 0.0
    two = 0.0
    for i in range(values.size):
        x = np.float64(values[i])
        weight = 1.0 if weights is None else np.float64(weights[i])
        a = x - first[indices[i]]
        b = x - second[indices[i]]
        one += weight * a * a
        two += weight * b * b
    return one, two
