"""Searches in lattices x = h + modulus * z whose integers z have an even sum, or any sum.

Everything is float64 with +, - and * alone, in a fixed order and without fused operations, so every
CPU finds the same points.
"""

import numba
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.int32]
Doubles = npt.NDArray[np.float64]

# Kinds of coordinates, which pay different rates: see lattice_rates.py.
FREE, LAST, INFORMATION = 0, 1, 2


@numba.njit(cache=True, nogil=True, inline="always")
def entry(residue: int, kind: int) -> int:
    """Where the 256 rates of a residue and a kind of coordinate begin in a table of rates."""
    return 256 * (3 * residue + kind)


# Adding and taking away 1.5 * 2^52 rounds to the nearest integer, ties to even.
_ROUND = 6755399441055744.0


@numba.njit(cache=True, nogil=True)
def nearest_integers(y: Doubles, out: Points) -> None:
    """Nearest point of Z^n to each row of `y`, ties to even. Shapes (n, dim)."""
    for v in range(y.shape[0]):
        for i in range(y.shape[1]):
            out[v, i] = int((y[v, i] + _ROUND) - _ROUND)


@numba.njit(cache=True, nogil=True)
def _nearest_even(y: Doubles, v: int, factor: float, shift: float, points: Points) -> float:
    """Row v of `points`: nearest z of even sum to factor * y - shift; returns the squared distance.

    Of equally bad coordinates the first is moved; an error of zero is moved upwards.
    """
    total, worst, worst_error, distance = 0, 0, -1.0, 0.0
    step = 0
    for i in range(y.shape[1]):
        u = factor * y[v, i] - shift
        nearest = (u + _ROUND) - _ROUND
        error = u - nearest
        size = abs(error)
        z = int(nearest)
        points[v, i] = z
        total += z
        distance += size * size
        if size > worst_error:
            worst, worst_error = i, size
            step = 1 if error >= 0 else -1
    if total & 1:
        points[v, worst] += step
        distance += 1.0 - 2.0 * worst_error
    return distance


@numba.njit(cache=True, nogil=True)
def nearest_checkerboard(y: Doubles, out: Points) -> None:
    """Nearest integer vector of even sum (D4 for dim 4) to each row of `y`. Shapes (n, dim)."""
    for v in range(y.shape[0]):
        _nearest_even(y, v, 1.0, 0.0, out)


_TOGETHER = 128  # vectors, whose coordinates lie side by side


@numba.njit(cache=True, nogil=True)
def _nearest_even_together(
    y: Doubles, shift: float, z: Doubles, worst: Doubles, distance: Doubles
) -> None:
    """Nearest z of even sum to y - shift, as `_nearest_even`.

    Shapes (8, n), (8, n), (3, n), (n,). Leaves z as it was rounded, and in `worst` the coordinate
    of each vector to move and by how much.
    """
    where, size, step = worst[0], worst[1], worst[2]
    total = np.zeros(y.shape[1])
    where[:] = 0.0
    size[:] = -1.0
    step[:] = 0.0
    distance[:] = 0.0
    for i in range(8):
        for v in range(y.shape[1]):
            u = y[i, v] - shift
            nearest = (u + _ROUND) - _ROUND
            error = u - nearest
            off = abs(error)
            z[i, v] = nearest
            total[v] += nearest
            distance[v] += off * off
            larger = off > size[v]
            where[v] = float(i) if larger else where[v]
            step[v] = (1.0 if error >= 0 else -1.0) if larger else step[v]
            size[v] = off if larger else size[v]
    for v in range(y.shape[1]):
        half = total[v] * 0.5
        odd = (half + _ROUND) - _ROUND != half
        distance[v] += 1.0 - 2.0 * size[v] if odd else 0.0
        step[v] = step[v] if odd else 0.0


@numba.njit(cache=True, nogil=True)
def nearest_e8(y: Doubles, out: Points) -> None:
    """Nearest point of E8 in doubled coordinates to each row of `y`. Shapes (n, 8).

    Of equally near points the one with even coordinates is taken.
    """
    sides = np.empty((8, _TOGETHER))
    z = np.empty((2, 8, _TOGETHER))
    worst = np.empty((2, 3, _TOGETHER))
    distance = np.empty((2, _TOGETHER))
    for first in range(0, y.shape[0], _TOGETHER):
        n = min(_TOGETHER, y.shape[0] - first)
        for v in range(n):
            for i in range(8):
                sides[i, v] = 0.5 * y[first + v, i]
        for h in range(2):
            _nearest_even_together(
                sides[:, :n], 0.5 * h, z[h, :, :n], worst[h, :, :n], distance[h, :n]
            )
        for v in range(n):
            h = 0 if distance[0, v] <= distance[1, v] else 1
            for i in range(8):
                out[first + v, i] = 2 * int(z[h, i, v]) + h
            out[first + v, int(worst[h, 0, v])] += 2 * int(worst[h, 2, v])


@numba.njit(cache=True, nogil=True, inline="always")
def _cost(offset: float, modulus: int, z: int, weight: float, bits: Doubles, at: int) -> float:
    error = offset - modulus * z
    price: float = bits[at + min(max(z, -128), 127) + 128]
    return error * error + weight * price


@numba.njit(cache=True, nogil=True, inline="always")
def cheapest_of_each_parity(
    offset: float, modulus: int, weight: float, bits: Doubles, at: int
) -> tuple[int, float, int, float]:
    """Cheapest even and cheapest odd z among the four integers around offset / modulus.

    The cost of z is (offset - modulus * z)**2 + weight * bits[at + 128 + z], z being clipped to
    -128 .. 127 in the last term. Of equally cheap z the lower is taken.

    Returns
    -------
    tuple of (z, its cost, next best z, its cost)
        One of them is even, one odd. Of equally cheap ones the even z comes first.
    """
    below = int(np.floor(offset * (1.0 / modulus))) - 1
    even, odd = below + (below & 1), below + 1 - (below & 1)
    even_cost = _cost(offset, modulus, even, weight, bits, at)
    odd_cost = _cost(offset, modulus, odd, weight, bits, at)
    cost = _cost(offset, modulus, even + 2, weight, bits, at)
    if cost < even_cost:
        even, even_cost = even + 2, cost
    cost = _cost(offset, modulus, odd + 2, weight, bits, at)
    if cost < odd_cost:
        odd, odd_cost = odd + 2, cost
    if odd_cost < even_cost:
        return odd, odd_cost, even, even_cost
    return even, even_cost, odd, odd_cost


@numba.njit(cache=True, nogil=True)
def search_parity(
    y: Doubles,
    modulus: int,
    even: bool,
    weight: float,
    bits: Doubles,
    coset_bits: Doubles,
    out: Points,
) -> None:
    """Cheapest point h + modulus * z to each row of `y`, h = 0 .. modulus - 1.

    Parameters
    ----------
    y : ndarray of float64, shape (n, dim)
    modulus : int
        1 or 2.
    even : bool
        Whether z has an even sum.
    weight : float
        Squared distance that a bit is worth.
    bits : ndarray of float64, shape (4 * 3 * 256,)
        Bits of z at `entry` of h and of the kind of coordinate: with `even` the last one is LAST,
        others are FREE.
    coset_bits : ndarray of float64, shape (2,)
        Bits of h.
    out : ndarray of int32, shape (n, dim)
    """
    dim = y.shape[1]
    row = np.empty(dim, np.int32)
    for v in range(y.shape[0]):
        least = np.inf
        for h in range(modulus):
            cost, total = weight * coset_bits[h], 0
            swap, swap_cost, swap_to = 0, np.inf, 0
            for i in range(dim):
                kind = LAST if even and i == dim - 1 else FREE
                z0, cost0, z1, cost1 = cheapest_of_each_parity(
                    y[v, i] - h, modulus, weight, bits, entry(h, kind)
                )
                row[i] = z0
                total += z0
                cost += cost0
                if cost1 - cost0 < swap_cost:
                    swap, swap_cost, swap_to = i, cost1 - cost0, z1
            if even and total & 1:
                row[swap] = swap_to
                cost += swap_cost
            if cost < least:
                least = cost
                for i in range(dim):
                    out[v, i] = h + modulus * row[i]


@numba.njit(cache=True, nogil=True)
def products(y: Doubles, points: Points | Doubles) -> tuple[float, float]:
    """Sums of y * points and of points * points, added up in C order."""
    cross, energy = 0.0, 0.0
    for v in range(y.shape[0]):
        for i in range(y.shape[1]):
            x = float(points[v, i])
            cross += y[v, i] * x
            energy += x * x
    return cross, energy
