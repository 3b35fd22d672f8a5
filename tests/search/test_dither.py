"""Dither over lattice cells: exact, uniform, and what it does to the error."""

import itertools

import numpy as np
import pytest

from qcodec.search.dither import cell_points
from qcodec.search.lattice import D4, E8, LEECH, Z, nearest

SEARCHED = [Z, D4, E8]


def random(lattice, n, seed=0):
    return np.random.default_rng(seed).integers(0, 2**24, (n, lattice.dim))


def exact_nearest(x, name, one):
    """Nearest point to x by integer arithmetic, `one` standing for 1; x has no ties."""

    def even(target):
        z = [(t + one // 2) // one for t in target]
        error = [t - one * k for t, k in zip(target, z, strict=True)]
        if sum(z) % 2:
            i = max(range(len(z)), key=lambda i: abs(error[i]))
            z[i] += 1 if error[i] >= 0 else -1
        return z

    if name == "z":
        return [(t + one // 2) // one for t in x]
    if name == "d4":
        return even(x)
    options = [[2 * k + h for k in even([t - h * one for t in x])] for h in (0, 1)]
    return options


@pytest.mark.parametrize("lattice", SEARCHED, ids=lambda lattice: lattice.name)
def test_values_equal_integer_arithmetic(lattice):
    # In units of 2^-25 of the integer coordinates (2^-26 would make E8's halves whole as well).
    edge = {"z": 1, "d4": 2, "e8": 4}[lattice.name]
    r = random(lattice, 200)
    u = cell_points(r, lattice)
    one = 2**25
    for row, got in zip(r, u, strict=True):
        x = [(2 * int(v) + 1) * edge for v in row]
        if lattice is E8:
            # Twice a checkerboard lattice: search with 2 as the unit.
            wholes = exact_nearest(x, "d4", 2 * one)
            halves = exact_nearest([t - one for t in x], "d4", 2 * one)
            options = [[2 * k for k in wholes], [2 * k + 1 for k in halves]]
            errors = [[t - one * k for t, k in zip(x, p, strict=True)] for p in options]
            error = min(errors, key=lambda e: sum(v * v for v in e))
        else:
            point = exact_nearest(x, lattice.name, one)
            error = [t - one * k for t, k in zip(x, point, strict=True)]
        assert [float(v) * one for v in got] == error


@pytest.mark.parametrize("lattice", SEARCHED, ids=lambda lattice: lattice.name)
def test_values_are_uniform_over_the_cell(lattice):
    u = cell_points(random(lattice, 200_000), lattice).astype(np.float64)
    assert not nearest(u, lattice).any()
    assert (u**2).mean() * lattice.unit**2 == pytest.approx(lattice.second_moment, rel=0.005)
    assert np.abs(u.mean(0)).max() < 0.006 / lattice.unit
    # Equal shares for the parts into which the signs of the first two coordinates cut the cell.
    first = u[:, : min(2, lattice.dim)]
    for signs in itertools.product((-1, 1), repeat=first.shape[1]):
        share = (first * signs > 0).all(1).mean()
        assert share == pytest.approx(0.5 ** first.shape[1], abs=0.006)


@pytest.mark.parametrize("lattice", SEARCHED, ids=lambda lattice: lattice.name)
@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 7.77])
def test_error_is_that_of_the_cell_whatever_the_weight(lattice, weight):
    u = cell_points(random(lattice, 100_000, seed=1), lattice).astype(np.float64)
    error = nearest(weight + u, lattice) - u - weight
    assert (error**2).mean() * lattice.unit**2 == pytest.approx(lattice.second_moment, rel=0.01)
    assert np.abs(error.mean(0)).max() < 0.01 / lattice.unit


def test_dither_of_integers_worked_out_by_hand():
    # r = 0 and 2^24 - 1 lie half of 2^-24 from 0 and 1, r = 2^23 as far above one half.
    r = np.array([[0], [2**23 - 1], [2**23], [2**24 - 1]])
    expected = [[2.0**-25], [0.5 - 2.0**-25], [-0.5 + 2.0**-25], [-(2.0**-25)]]
    np.testing.assert_array_equal(cell_points(r, Z), np.array(expected, np.float32))


def test_lattice_that_decoders_do_not_search_is_refused():
    with pytest.raises(ValueError, match="no dither for leech"):
        cell_points(random(LEECH, 1), LEECH)


@pytest.mark.parametrize("bad", [-1, 2**24])
def test_integer_beyond_24_bits_is_refused(bad):
    with pytest.raises(ValueError, match="must be in"):
        cell_points(np.array([[bad]]), Z)
