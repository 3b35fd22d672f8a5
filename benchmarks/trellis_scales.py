"""What scales per row or group do to a trellis: bits a weight at equal error, MiniLM.

``python benchmarks/trellis_scales.py [--snr 20]``. Whole blobs; bits are brought to the asked SNR
of the whole tensor at 6.02 dB a bit.
"""

import argparse
from typing import Any

import numpy as np
from data import minilm_path
from safetensors.numpy import load_file

import qcodec


def coded(weights: Any, codec: str) -> tuple[float, Any]:
    """Bits a weight, and what comes back."""
    blob = qcodec.encode(weights, codec)
    return 8 * len(blob) / weights.size, qcodec.decode(blob)


def at_snr(weights: Any, bits: float, back: Any, snr: float) -> float:
    """Bits that the same codec would take at this SNR."""
    w = weights.astype(np.float64)
    got = 10 * np.log10((w**2).sum() / ((w - back) ** 2).sum())
    return float(bits - (got - snr) / 6.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--snr", type=float, default=20.0, help="dB, default 20")
    snr = parser.parse_args().snr
    options = ["", ", profile=True", ", axis=0", ", group=64"]
    total = np.zeros(4)
    weights_in_all = 0
    print("| tensor | one step | profile | scale per row | scale per 64 |")
    print("|---|---:|---:|---:|---:|")
    for name, weights in load_file(minilm_path()).items():
        if weights.ndim != 2 or weights.size < 65536 or weights.shape[1] % 64:
            continue
        cases = [coded(weights, f"trellis(snr={snr}{more}) | rans") for more in options]
        bits = np.array([at_snr(weights, b, back, snr) for b, back in cases])
        total += bits * weights.size
        weights_in_all += weights.size
        print(f"| {name} | " + " | ".join(f"{b:.3f}" for b in bits) + " |", flush=True)
    print("| all | " + " | ".join(f"{b:.3f}" for b in total / weights_in_all) + " |")


if __name__ == "__main__":
    main()
