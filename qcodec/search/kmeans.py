"""One-dimensional k-means: codebooks for weight sharing, also with a price on entropy.

The same bytes on every CPU: all sums are float64 in the order of the elements.
"""

import numpy as np
import numpy.typing as npt

from qcodec._arrays import check_int
from qcodec.search._jit import kernel
from qcodec.search._lloyd import (
    Indices,
    assign_cheapest,
    assign_nearest,
    cells_of,
    lloyd,
    plus_plus,
    rate_sums,
)
from qcodec.search._log2 import log2
from qcodec.search._partition import best_splits, centroids_of
from qcodec.search._points import Reals, Values, points_of

_REFINEMENTS = 3  # Lloyd steps over all values after the exact search; more gain next to nothing
_LIMIT = 300  # steps of the reference method, and of cheap steps over points
_SMALLEST = np.float32(1e-45)


def fit(
    values: Values,
    k: int,
    *,
    weights: Values | None = None,
    keep_zeros: bool = False,
    rate: float = 0.0,
    method: str = "exact",
    seed: int = 0,
) -> Values:
    """Codebook of at most `k` entries with the least squared error to the values.

    Parameters
    ----------
    values : ndarray of float32, shape (n,)
        Finite, which the caller checks.
    k : int
        Largest number of entries, 1..256.
    weights : ndarray of float32, shape (n,), optional
        Importance of each element, finite and >= 0, such as the diagonal of the Hessian [1]_.
        Their scale does not matter. If all are 0, all elements weigh the same.
    keep_zeros : bool, default False
        0.0 is an entry, exactly the zeros take it, and the other ``k - 1`` are fitted to the
        non-zeros: for pruned weights [2]_. Needs ``k >= 2``.
    rate : float, default 0
        Price of a bit per element, >= 0, in units of the mean squared error (weighted, if there
        are weights). Above 0, `fit` minimises mean squared error + `rate` * entropy of the indices
        in bits [3]_, and leaves out entries that nothing takes.
    method : {"exact", "lloyd"}, default "exact"
        ``"exact"``: the global optimum for the values' histogram, then Lloyd steps on the values
        themselves; where there are at most 8192 distinct values, the optimum. ``"lloyd"``:
        k-means++ and Lloyd steps, the reference.
    seed : int, default 0
        Seed of k-means++, >= 0.

    Returns
    -------
    ndarray of float32, shape (at most k,)
        Ascending and distinct: all distinct values where these are no more than `k`, empty where
        there are no values.

    Raises
    ------
    TypeError, ValueError
        Options of a wrong type or out of range.

    Notes
    -----
    With a `rate`, the iteration starts from the best clusterings of k, k/2, k/4, .. clusters, and
    its cost is never above that of the clustering without a rate.

    References
    ----------
    .. [1] Y. Choi, M. El-Khamy, J. Lee, "Towards the limit of network quantization",
       arXiv:1612.01543, 2017, sections 3 and 4.
    .. [2] S. Han, H. Mao, W. Dally, "Deep Compression", arXiv:1510.00149, 2016, section 3.
    .. [3] P. Chou, T. Lookabaugh, R. Gray, "Entropy-constrained vector quantization", IEEE
       Transactions on Acoustics, Speech, and Signal Processing 37(1), 1989.

    Examples
    --------
    >>> import numpy as np
    >>> from qcodec.search import kmeans
    >>> kmeans.fit(np.array([1, 2, 10, 12], np.float32), 2)
    array([ 1.5, 11. ], dtype=float32)
    """
    return _fit(values, k, weights, keep_zeros, rate, method, seed)[0]


def fit_with_rates(
    values: Values,
    k: int,
    *,
    weights: Values | None = None,
    keep_zeros: bool = False,
    rate: float = 0.0,
    method: str = "exact",
    seed: int = 0,
) -> tuple[Values, Reals]:
    """Codebook of `fit` with the bits that each of its entries costs.

    Parameters
    ----------
    values, k, weights, keep_zeros, rate, method, seed
        As in `fit`.

    Returns
    -------
    codebook : ndarray of float32, shape (at most k,)
    rates : ndarray of float64, of the same shape
        ``-log2(share of the elements)`` in bits, for `assign`; infinite for a 0.0 kept for zeros
        that do not occur.

    Raises
    ------
    TypeError, ValueError
        As `fit`.
    """
    codebook, counts = _fit(values, k, weights, keep_zeros, rate, method, seed)
    if counts is None:
        indices = assign(values, codebook, keep_zeros=keep_zeros)
        counts = np.bincount(indices, minlength=codebook.size).astype(np.float64)
    return codebook, _bits(counts)


def assign(
    values: Values,
    codebook: Values,
    *,
    rates: npt.NDArray[np.floating] | None = None,
    strength: float = 0.0,
    keep_zeros: bool = False,
    weights: Values | None = None,
) -> Indices:
    """Index of the entry that each value takes: the nearest, or the cheapest with its rate.

    Parameters
    ----------
    values : ndarray of float32, shape (n,)
        Finite, which the caller checks.
    codebook : ndarray of float32, shape (k,)
        Ascending and distinct, as from `fit`; k up to 256.
    rates : ndarray of floats, shape (k,), optional
        Bits that each entry costs, >= 0.
    strength : float, default 0
        Price of a bit, >= 0: the `rate` of `fit`. A value takes the entry with the least
        squared error + `strength` * rate.
    keep_zeros : bool, default False
        Zeros take the entry 0.0, whatever it costs, and nothing else does.
    weights : ndarray of float32, shape (n,), optional
        Importance of each element as in `fit`: its squared error counts in proportion. Without
        rates they change nothing.

    Returns
    -------
    ndarray of uint8, shape (n,)
        Of two entries as good, the lower.

    Raises
    ------
    ValueError
        The codebook has more than 256 entries, or none for some value; with `keep_zeros`, it has no
        0.0; `rates` has another shape; `strength` is negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from qcodec.search import kmeans
    >>> kmeans.assign(np.array([1, 2, 3], np.float32), np.array([1, 3], np.float32))
    array([0, 0, 1], dtype=uint8)
    """
    _check_price("strength", strength)
    if codebook.size > 256:
        raise ValueError(f"a codebook has up to 256 entries, got {codebook.size}")
    if rates is not None and rates.shape != codebook.shape:
        raise ValueError(f"{codebook.size} entries have rates of shape {list(rates.shape)}")
    entries = codebook.astype(np.float64)
    bits = np.zeros(0) if rates is None or strength == 0 else rates.astype(np.float64)
    zero = int(np.searchsorted(entries, 0.0))
    if keep_zeros:
        if zero == entries.size or entries[zero] != 0:
            raise ValueError("keep_zeros needs the entry 0.0 in the codebook")
        entries, bits = np.delete(entries, zero), np.delete(bits, zero) if bits.size else bits
    indices = np.zeros(values.size, np.uint8)
    if entries.size == 0:
        if np.count_nonzero(values) or (values.size and not keep_zeros):
            raise ValueError("the codebook has no entry for some value")
        return indices
    if bits.size:
        price, weights = _price(strength, values, weights, keep_zeros)
        assign_cheapest(
            values, weights, cells_of(entries), entries, _with_least(price * bits), indices
        )
    else:
        assign_nearest(values, cells_of(entries), indices)
    if keep_zeros:
        indices += indices >= zero
        indices[values == 0] = zero
    return indices


def _check_price(name: str, price: float) -> None:
    if not 0 <= price < float("inf"):
        raise ValueError(f"{name} must be finite and >= 0, got {price}")


def _price(
    rate: float, values: Values, weights: Values | None, keep_zeros: bool
) -> tuple[float, Values | None]:
    """Price of a bit in the unit of weights times squared errors, and the weights if of use."""
    if weights is None:
        return rate, None
    mean = _mean_weight(values, weights, keep_zeros)
    return (rate * mean, weights) if mean > 0 else (rate, None)


@kernel
def _mean_weight(values: Values, weights: Values, keep_zeros: bool) -> float:
    """Mean weight of the elements that are clustered; 0 where there are none."""
    total = 0.0
    count = 0
    for i in range(values.size):
        if not keep_zeros or values[i] != 0:
            total += weights[i]
            count += 1
    return total / max(count, 1)


@kernel
def _bits(counts: Reals) -> Reals:
    """Bits of each of some symbols, from how often they occur."""
    total = 0.0
    for count in counts:
        total += count
    bits = np.empty(counts.size)
    for j in range(counts.size):
        bits[j] = -log2(counts[j] / total) if counts[j] else np.inf
    return bits


def _with_least(costs: Reals) -> Reals:
    return np.append(costs, costs.min())


def _fit(
    values: Values,
    k: int,
    weights: Values | None,
    keep_zeros: bool,
    rate: float,
    method: str,
    seed: int,
) -> tuple[Values, Reals | None]:
    """Codebook, and the number of elements at each entry where a rate was asked for."""
    check_int("k", k, 1, 256)
    check_int("seed", seed, 0, 2**63 - 1)
    _check_price("rate", rate)
    if method not in ("exact", "lloyd"):
        raise ValueError(f"method must be 'exact' or 'lloyd', got {method!r}")
    if keep_zeros and k == 1:
        raise ValueError("keep_zeros needs k >= 2: one entry for 0.0, one for the rest")
    n = values.size
    price, weights = _price(rate, values, weights, keep_zeros)
    if keep_zeros:
        k -= 1
        kept = values != 0
        values, weights = values[kept], None if weights is None else weights[kept]
    entries, counts = np.empty(0), np.empty(0) if price else None
    if values.size:
        search = _exact if method == "exact" else _reference
        entries, counts = search(values, k, weights, price, seed)
    codebook, at = np.unique(entries.astype(np.float32), return_inverse=True)
    if counts is not None:
        counts = np.bincount(at, counts, codebook.size).astype(np.float64)
    if keep_zeros and n:
        codebook[codebook == 0] = _SMALLEST
        zero = np.searchsorted(codebook, 0)
        codebook = np.insert(codebook, zero, 0)
        if counts is not None:
            counts = np.insert(counts, zero, n - values.size)
    return codebook + np.float32(0), counts  # -0.0 + 0.0 is 0.0


def _exact(
    values: Values, k: int, weights: Values | None, price: float, seed: int
) -> tuple[Reals, Reals | None]:
    points = points_of(values, weights)
    x, mass = points.x[points.mass > 0], points.mass[points.mass > 0]
    k = min(k, x.size)
    splits = best_splits(x, mass, k)
    entries = lloyd(values, weights, centroids_of(x, mass, splits, k), _REFINEMENTS)
    if not price:
        return entries, None
    starts = [centroids_of(x, mass, splits, k >> shift) for shift in range(k.bit_length())]
    _, cheapest, _ = min(
        (_descend(points.x, points.mass, points.number, start, price, _LIMIT) for start in starts),
        key=lambda found: found[0],
    )
    # Points stand for elements of unlike weights, so that elements have the last word.
    found = [_descend(values, weights, None, s, price, _REFINEMENTS) for s in (entries, cheapest)]
    _, entries, counts = min(found, key=lambda found: found[0])
    return entries, counts


def _reference(
    values: Values, k: int, weights: Values | None, price: float, seed: int
) -> tuple[Reals, Reals | None]:
    raw = np.random.PCG64(seed).random_raw(k) >> np.uint64(11)
    draws = raw.astype(np.float64) * 2.0**-53
    entries = lloyd(values, weights, np.sort(plus_plus(values, weights, draws)), _LIMIT)
    if not price:
        return entries, None
    return _descend(values, weights, None, entries, price, _LIMIT)[1:]


def _descend(
    x: npt.NDArray[np.floating],
    mass: npt.NDArray[np.floating] | None,
    count: Reals | None,
    entries: Reals,
    price: float,
    limit: int,
) -> tuple[float, Reals, Reals]:
    """Cost, entries and counts after steps of entropy-constrained clustering, each a descent.

    The first step is free of rates, so that the second is charged for the clusters of the
    nearest entries.
    """
    costs = np.zeros(entries.size + 1)
    least = np.inf
    for step in range(limit + 1):
        cost, masses, totals, counts = rate_sums(x, mass, count, cells_of(entries), entries, costs)
        if step and cost >= least:
            break
        least = cost if step else np.inf
        moved = np.divide(totals, masses, out=entries.copy(), where=masses > 0)
        # Unlike weights can move one entry past another.
        order = np.flatnonzero(counts)[np.argsort(moved[counts > 0], kind="stable")]
        entries, counts = moved[order], counts[order]
        costs = _with_least(price * _bits(counts))
    return least, entries, counts
