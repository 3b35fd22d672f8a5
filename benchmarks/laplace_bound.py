"""Rate-distortion function of the unit-variance Laplacian under squared error.

``python benchmarks/laplace_bound.py`` prints the table that `rd_math` holds; it takes minutes.
"""

import numpy as np
import numpy.typing as npt

SPACING = 0.01  # of the grid, in standard deviations; its square is far below any distortion here
REACH = 14.0  # the mass beyond is 2.5e-9
SLOPES = (0.55, 0.6, 0.7, 0.85, 1.0, 1.4, 2.0, 2.8, 4.0, 8.0, 16.0, 64.0, 256.0)

Vector = npt.NDArray[np.float64]


def point(slope: float, iterations: int = 100_000) -> tuple[float, float]:
    """One point of the curve by the Blahut-Arimoto iteration.

    Parameters
    ----------
    slope : float
        ``-dR/dD``, in nats per unit of squared error.
    iterations : int
        Upper limit; the iteration stops where its bounds on the rate are 1e-5 bit apart.

    Returns
    -------
    tuple of float
        Rate in bits and ``-10 log10(D)`` in dB.

    References
    ----------
    .. [1] R. Blahut, "Computation of channel capacity and rate-distortion functions",
       IEEE Trans. Inf. Theory 18(4), 1972, section IV.
    """
    half = round(REACH / SPACING)
    grid = np.arange(-half, half + 1) * SPACING
    source = np.exp(-np.sqrt(2) * np.abs(grid))
    source /= source.sum()
    # The kernel depends on the difference alone, so its products are convolutions.
    width = min(half, int(np.ceil(np.sqrt(40 / slope) / SPACING)))
    square = (np.arange(-width, width + 1) * SPACING) ** 2
    n = 1 << int(np.ceil(np.log2(grid.size + square.size)))
    kernel = np.fft.rfft(np.exp(-slope * square), n)

    def convolve(x: Vector, with_: npt.NDArray[np.complex128]) -> Vector:
        full = np.fft.irfft(np.fft.rfft(x, n) * with_, n)
        return np.maximum(full[width : width + grid.size], 1e-300)

    output = source.copy()
    for _ in range(iterations):
        change = convolve(source / convolve(output, kernel), kernel)
        if np.log2(change.max()) - (output * np.log2(change)).sum() < 1e-5:
            break
        output *= change
    partition = convolve(output, kernel)
    weighted = np.fft.rfft(np.exp(-slope * square) * square, n)
    distortion = float((source / partition * convolve(output, weighted)).sum())
    rate = -slope * distortion / np.log(2) - float((source * np.log2(partition)).sum())
    return rate, -10 * np.log10(distortion)


if __name__ == "__main__":
    for slope in SLOPES:
        rate, snr = point(slope)
        print(f"    ({rate:.4f}, {snr:.3f}),", flush=True)
