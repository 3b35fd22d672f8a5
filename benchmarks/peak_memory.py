"""Peak memory of ``qcodec encode`` on a model of 2 GB: 16 float32 tensors of 128 MiB."""

import resource
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TENSORS = 16
SIDE = (8192, 4096)


def write_model(path: Path) -> None:
    """A safetensors file, written tensor by tensor."""
    nbytes = 4 * SIDE[0] * SIDE[1]
    header = ",".join(
        f'"w{k:02}":{{"dtype":"F32","shape":[{SIDE[0]},{SIDE[1]}],'
        f'"data_offsets":[{k * nbytes},{(k + 1) * nbytes}]}}'
        for k in range(TENSORS)
    )
    text = ("{" + header + "}").encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(0)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for _ in range(TENSORS):
            stream.write(rng.standard_normal(SIDE, dtype=np.float32).tobytes())


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        write_model(model)
        for codec in ("lossless", "uniform(bits=8, axis=0) | huffman"):
            command = [sys.executable, "-m", "qcodec.cli", "encode", str(model), "--force"]
            command += ["-o", str(Path(folder) / "model.qc"), "--codec", codec]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(f"{codec}: model {model.stat().st_size / 1e9:.2f} GB, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
