"""torch is an extra: nothing but qcodec.torch needs it."""

import os
import subprocess
import sys
from pathlib import Path

import qcodec

CODE = """
import sys
sys.modules["torch"] = None
import numpy as np, qcodec, qcodec.traffic
assert qcodec.traffic.ThreeLC(3).encode(np.zeros(3, np.float32))[-1] == 121
try:
    import qcodec.torch
except ImportError:
    print("refused")
"""


def test_all_but_the_hook_works_without_torch(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(qcodec.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout == "refused\n", done.stderr
