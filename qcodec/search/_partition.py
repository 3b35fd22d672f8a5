"""Exact clustering of weighted points on a line, by dynamic programming."""

import numpy as np
import numpy.typing as npt

from qcodec.search._jit import kernel
from qcodec.search._points import Reals


@kernel
def best_splits(x: Reals, mass: Reals, k: int) -> npt.NDArray[np.int32]:
    """Where the last of j clusters of the first m points starts, for every j and m.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        Points in ascending order.
    mass : ndarray of float64, shape (n,)
        Their weights, > 0.
    k : int
        Number of clusters, 1..n.

    Returns
    -------
    ndarray of int32, shape (k + 1, n + 1)
        Entry (j, m) for 1 <= j <= m; the others mean nothing.

    Notes
    -----
    The starts never decrease with m [1]_, so each is looked for only between those of its two
    neighbours on a grid that doubles its density: O(n log n) for each j.

    References
    ----------
    .. [1] X. Wu, "Optimal quantization by matrix searching", Journal of Algorithms 12(4), 1991.
    """
    n = x.size
    w, s, q = _sums_from_the_middle(x, mass)
    starts = np.zeros((k + 1, n + 1), np.int32)
    before = np.empty(n + 1)
    cost = np.empty(n + 1)
    for m in range(1, n + 1):
        before[m] = q[m] - q[0] - (s[m] - s[0]) * (s[m] - s[0]) / (w[m] - w[0])
    for j in range(2, k + 1):
        gap = 1
        while 2 * gap <= n:
            gap *= 2
        starts[j, :j] = j - 1
        while gap:
            for m in range(gap, n + 1, 2 * gap):
                if m < j:
                    continue
                first = max(starts[j, m - gap], j - 1)
                last = min(starts[j, m + gap], m - 1) if m + gap <= n else m - 1
                least = np.inf
                at = first
                for t in range(first, last + 1):
                    spread = s[m] - s[t]
                    c = before[t] + (q[m] - q[t] - spread * spread / (w[m] - w[t]))
                    if c < least:
                        least = c
                        at = t
                cost[m] = least
                starts[j, m] = at
            gap //= 2
        before, cost = cost, before
    return starts


@kernel
def _sums_from_the_middle(x: Reals, mass: Reals) -> tuple[Reals, Reals, Reals]:
    """Running sums of mass, mass x and mass x**2 about the middle point, 0 at that point.

    Differences of these sums give the error of a cluster. Taken from the left end, one far
    point there would drown all others; from the middle, it is only in the sums that need it.
    """
    n = x.size
    middle = n // 2
    w = np.zeros(n + 1)
    s = np.zeros(n + 1)
    q = np.zeros(n + 1)
    for i in range(middle, n):
        d = x[i] - x[middle]
        w[i + 1] = w[i] + mass[i]
        s[i + 1] = s[i] + mass[i] * d
        q[i + 1] = q[i] + mass[i] * d * d
    for i in range(middle - 1, -1, -1):
        d = x[i] - x[middle]
        w[i] = w[i + 1] - mass[i]
        s[i] = s[i + 1] - mass[i] * d
        q[i] = q[i + 1] - mass[i] * d * d
    return w, s, q


@kernel
def centroids_of(x: Reals, mass: Reals, starts: npt.NDArray[np.int32], k: int) -> Reals:
    """Means of the best k clusters, ascending, shape (k,); `starts` may be of more clusters."""
    centroids = np.empty(k)
    end = x.size
    for j in range(k, 0, -1):
        start = starts[j, end] if j > 1 else 0
        weight = 0.0
        total = 0.0
        for i in range(start, end):
            weight += mass[i]
            total += mass[i] * (x[i] - x[start])
        centroids[j - 1] = x[start] + total / weight
        end = start
    return centroids
