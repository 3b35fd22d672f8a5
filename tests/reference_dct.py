"""The transform `dct` of the reference decoder, from FORMAT.md alone."""

import math

import numpy as np


def basis(k):
    """b[u][i]; where the cosine is zero, it is exactly zero."""
    b = np.zeros((k, k), np.float32)
    for u in range(k):
        for i in range(k):
            quarters = (2 * i + 1) * u  # in units of pi / 2k
            if quarters % (2 * k) != k:
                b[u, i] = math.sqrt((2 if u else 1) / k) * math.cos(math.pi * quarters / (2 * k))
    return b


class Grid:
    """Blocks of a part. `order[place]` is the element, counted from the part's first one."""

    def __init__(self, part, transform):
        self.k, self.n_blocks = 0, 0
        self.order = np.arange(part.count)
        if transform is None:
            return
        shape, inside = part.tensor.shape, np.zeros((0, 0), np.int64)
        if transform["block"] is not None:
            k = transform["block"]
            columns = math.prod(shape[1:])
            top = -(-part.first // columns)
            rows = (part.first + part.count) // columns - top
            inside = [
                [
                    (top + k * band + u) * columns + k * column + v - part.first
                    for u in range(k)
                    for v in range(k)
                ]
                for band in range(max(rows, 0) // k)
                for column in range(columns // k)
            ]
        elif len(shape) >= 3 and shape[-1] == shape[-2] and 2 <= shape[-1] <= 8:
            k = shape[-1]
            skipped = -part.first % k**2
            n = max(part.count - skipped, 0) // k**2
            inside = skipped + np.arange(n * k**2).reshape(n, k**2)
        else:
            return
        inside = np.asarray(inside, np.int64)
        self.k, self.n_blocks = k, len(inside)
        self.order = np.concatenate([inside.ravel(), np.setdiff1d(self.order, inside)])

    def inverse(self, values):
        """Elements in C order from coefficients in theirs."""
        out = values.copy()
        if self.n_blocks:
            k, inside = self.k, self.n_blocks * self.k**2
            c, b = values[:inside].reshape(-1, k, k), basis(k)
            with np.errstate(over="ignore", invalid="ignore"):
                t = ordered_sum(lambda v: c[:, :, v, None] * b[None, None, v, :], k)
                x = ordered_sum(lambda u: t[:, None, u, :] * b[None, u, :, None], k)
            out[:inside] = x.ravel()
        elements = np.empty_like(out)
        elements[self.order] = out
        return elements


def ordered_sum(product, k):
    total = product(0)
    for index in range(1, k):
        total = total + product(index)
    return total
