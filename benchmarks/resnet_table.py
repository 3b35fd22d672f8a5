"""Size and top-1 of the CIFAR-10 ResNets at several codecs, as CSV on standard output.

Needs torch (``pip install torch``) and the data folder. Every byte of the file counts; the ratio is
to the safetensors file.
"""

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
from cifar_resnet import top1
from data import SHARED
from safetensors.numpy import load_file

import qcodec
from qcodec.metrics import quantization_error

CODECS = [
    "lossless",
    "uniform(bits=8, axis=0) | bitpack",
    "uniform(bits=8, axis=0) | huffman",
    "uniform(bits=8, axis=0) | rans",
    "uniform(bits=4, group=64) | bitpack",
    "uniform(bits=4, group=64) | rans",
    "uniform(step=0.02) | rans",
]


def main() -> None:
    """Measure and print."""
    test = np.load(SHARED / "cifar10_test.npz")
    images, labels = test["images"], test["labels"]
    columns = ["model", "codec", "bytes", "ratio", "snr_db", "top1", "top1_float32"]
    out = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    out.writeheader()
    for model in ("resnet20", "resnet32"):
        source = SHARED / f"{model}.safetensors"
        tensors = load_file(source)
        reference = top1(tensors, images, labels)
        matrices = [name for name, t in tensors.items() if t.ndim >= 2]
        for codec in CODECS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.qc"
                qcodec.save_file(tensors, path, codec)
                size = path.stat().st_size
                decoded = qcodec.load_file(path)
            error = quantization_error(
                np.concatenate([tensors[n].ravel() for n in matrices]),
                np.concatenate([decoded[n].ravel() for n in matrices]),
            )
            out.writerow(
                {
                    "model": model,
                    "codec": str(qcodec.parse(codec)),
                    "bytes": size,
                    "ratio": f"{source.stat().st_size / size:.3f}",
                    "snr_db": f"{error.snr_db:.2f}",
                    "top1": f"{top1(decoded, images, labels):.2f}",
                    "top1_float32": f"{reference:.2f}",
                }
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
