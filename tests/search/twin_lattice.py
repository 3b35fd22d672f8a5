"""Lattices from their definitions, slowly: membership, shortest vectors, nearest by trying all."""

import functools
import itertools

import numpy as np

# Coordinates 0 .. 11 and the check bits of Golay's code, as the polynomial division gives them.
GOLAY_POLYNOMIAL = 0b110001110101


@functools.cache
def golay_words():
    """Extended Golay code by polynomial division, (4096, 24), in order of information bits."""
    words = []
    for m in range(4096):
        remainder = sum((m >> k & 1) << (11 + k) for k in range(12))
        for degree in range(22, 10, -1):
            if remainder >> degree & 1:
                remainder ^= GOLAY_POLYNOMIAL << (degree - 11)
        bits = [m >> k & 1 for k in range(12)] + [remainder >> k & 1 for k in range(11)]
        words.append([*bits, sum(bits) % 2])
    return np.array(words)


def is_point(x, name):
    """Whether each row of integers x is a point of the lattice."""
    if name == "z":
        return np.ones(len(x), bool)
    if name == "d4":
        return x.sum(1) % 2 == 0
    h = x[:, :1] % 2
    same = np.all(x % 2 == h, axis=1)
    if name == "e8":
        return same & (x.sum(1) % 4 == 0)
    code = {tuple(word) for word in golay_words()}
    pattern = (x - h) // 2 % 2
    in_code = np.array([tuple(row) in code for row in pattern], bool)
    return same & in_code & (x.sum(1) % 8 == 4 * h[:, 0])


def boxes(y, name):
    """All points of D4 or E8 with each coordinate next to y: those within the covering radius."""
    grids = [(1, 0)] if name == "d4" else [(2, 0), (2, 1)]
    for modulus, h in grids:
        below = np.floor((y - h) / modulus)
        for up in itertools.product((0, 1), repeat=len(y)):
            x = (modulus * (below + np.array(up)) + h).astype(int)
            if is_point(x[None], name)[0]:
                yield x


def nearest_distance(y, name):
    """Squared distance to the nearest point of D4 or E8."""
    return min(((y - x) ** 2).sum() for x in boxes(y, name))


def shortest_vectors(name):
    """All vectors of least norm."""
    if name in ("d4", "e8"):
        values, norm = {"d4": ((-1, 0, 1), 2), "e8": ((-2, -1, 0, 1, 2), 8)}[name]
        grid = np.array(list(itertools.product(values, repeat={"d4": 4, "e8": 8}[name])))
        grid = grid[(grid**2).sum(1) == norm]
        return grid[is_point(grid, name)]
    rows = []
    for i, j in itertools.combinations(range(24), 2):
        for a, b in itertools.product((-4, 4), repeat=2):
            row = np.zeros(24, np.int8)
            row[i], row[j] = a, b
            rows.append(row)
    words = golay_words()
    signs = np.array([s for s in itertools.product((-2, 2), repeat=8) if s.count(-2) % 2 == 0])
    for word in words[words.sum(1) == 8]:
        octad = np.zeros((128, 24), np.int8)
        octad[:, word == 1] = signs
        rows.extend(octad)
    for word in words:
        for i in range(24):
            row = np.where(word, -1, 1)
            row[i] *= -3
            rows.append(row)
    return np.array(rows)


def cheapest_cost(y, name, bits, coset_bits, weight):
    """Least cost of a point of D4, E8 or Leech whose integers z lie next to y on either side.

    By dynamic programming over the coordinates, the state being the parity of the sum so far.
    """
    modulus = {"d4": 1, "e8": 2, "leech": 4}[name]
    words = golay_words() if name == "leech" else np.zeros((1, len(y)), int)
    tables = bits.reshape(4, 3, 256)
    least = np.inf
    for h in range(1 if name == "d4" else 2):
        cost = np.tile([weight * coset_bits[h], np.inf], (len(words), 1))
        for i, target in enumerate(y):
            kind = 1 if i == len(y) - 1 else 2 if name == "leech" and i < 12 else 0
            step = np.full((2, 2), np.inf)  # c, parity
            for c in range(2 if name == "leech" else 1):
                r = h + 2 * c
                below = int(np.floor((target - r) / modulus))
                for z in range(below - 1, below + 3):
                    price = tables[r, kind, np.clip(z, -128, 127) + 128]
                    own = (target - r - modulus * z) ** 2 + weight * price
                    step[c, z % 2] = min(step[c, z % 2], own)
            even, odd = step[words[:, i]].T
            cost = np.stack(
                [
                    np.minimum(cost[:, 0] + even, cost[:, 1] + odd),
                    np.minimum(cost[:, 0] + odd, cost[:, 1] + even),
                ],
                axis=1,
            )
        wanted = h if name == "leech" else 0
        least = min(least, cost[:, wanted].min())
    return least


def cost_of(x, y, name, bits, coset_bits, weight):
    """Cost of one point by the definition of `Rates`."""
    modulus = {"z": 1, "d4": 1, "e8": 2, "leech": 4}[name]
    tables = bits.reshape(4, 3, 256)
    total = ((x - y) ** 2).sum()
    total += weight * coset_bits[x[0] % 2 if modulus > 1 else 0]
    for i, v in enumerate(x):
        kind = 2 if name == "leech" and i < 12 else 0
        if name != "z" and i == len(x) - 1:
            kind = 1
        r = v % modulus
        total += weight * tables[r, kind, np.clip((v - r) // modulus, -128, 127) + 128]
    return total
