"""Runs `qcodec` as users do: the installed command, or the module where it is not installed."""

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np

# Beside this Python, so that the command of another installation is not tested in its place.
SCRIPT = shutil.which("qcodec", path=str(Path(sys.executable).parent))
COMMAND = [SCRIPT] if SCRIPT else [sys.executable, "-m", "qcodec.cli"]


def qcodec(*arguments, cwd, code=0, **environment):
    """Run a command line in a folder; its exit code must be `code`."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    if code:
        assert any(line.startswith("error: ") for line in done.stderr.splitlines()) or done.stdout
    return done


def qcodec_json(*arguments, cwd, code=0):
    """Run with --json; stdout must be JSON and nothing else."""
    done = qcodec(*arguments, "--json", cwd=cwd, code=code)
    return json.loads(done.stdout, parse_constant=lambda name: 1 / 0)


def safetensors_bytes(tensors, metadata=None, *, padding=b"", separators=(", ", ": "), order=None):
    """A safetensors file made by hand. `tensors`: name to (dtype name, array), in data order."""
    header = {"__metadata__": metadata} if metadata is not None else {}
    at, fields = 0, {}
    for name, (dtype, array) in tensors.items():
        offsets = [at, at + array.nbytes]
        fields[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        at += array.nbytes
    header |= {name: fields[name] for name in order or fields}
    raw = json.dumps(header, separators=separators).encode() + padding
    data = b"".join(array.tobytes() for _, array in tensors.values())
    return struct.pack("<Q", len(raw)) + raw + data


def model():
    """Tensors of many dtypes and shapes, by hand-made safetensors names."""
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((24, 40), dtype=np.float32)
    return {
        "layer.weight": ("F32", weights),
        "layer.bias": ("F32", weights[0].copy()),
        "brain": ("BF16", weights[:3].astype(ml_dtypes.bfloat16)),
        "half": ("F16", weights[:2].astype(np.float16)),
        "double": ("F64", np.array([[np.pi, np.inf], [np.nan, -0.0]])),
        "eight": ("F8_E4M3", weights[0].astype(ml_dtypes.float8_e4m3fn)),
        "five": ("F8_E5M2", weights[0].astype(ml_dtypes.float8_e5m2)),
        "counts": ("I64", np.array([-(2**63), 2**63 - 1])),
        "flags": ("BOOL", np.array([True, False, True])),
        "scalar": ("F32", np.array(0.5, np.float32)),
        "empty": ("F32", np.zeros((0, 7), np.float32)),
        "last": ("U8", np.arange(5, dtype=np.uint8)),
    }
