"""The same bytes on every CPU and with any number of threads."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from qcodec.search import kmeans

DIGEST = """
import hashlib
import numpy as np
from qcodec.search import kmeans

rng = np.random.default_rng(0)
values = rng.random((3, 30_000), dtype=np.float32).sum(axis=0) - np.float32(1.5)
values[::9] = 0
weights = rng.random(values.size, dtype=np.float32)
digest = hashlib.sha256()
for method in ("exact", "lloyd"):
    for options in ({}, {"weights": weights}, {"keep_zeros": True}):
        for rate in (0.0, 0.01):
            codebook, rates = kmeans.fit_with_rates(values, 24, rate=rate, method=method, **options)
            indices = kmeans.assign(values, codebook, rates=rates, strength=rate, **options)
            for array in (codebook, rates, indices):
                digest.update(array.tobytes())
print(digest.hexdigest())
"""


# Changes only with what the encoder writes.
FROZEN = "d75761d5ab0380b0b5d708737d349f644b4a47be6fe119c32d082aa2e224fab3"


def digest(cache, **environment):
    done = subprocess.run(
        [sys.executable, "-c", DIGEST],
        cwd=cache,  # away from the source folder, which has no native core
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_codebooks_rates_and_indices_are_frozen(tmp_path):
    assert digest(tmp_path) == FROZEN


def test_cpu_without_any_extension_gives_the_same_bytes(tmp_path):
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_NUM_THREADS": "1"}
    assert digest(tmp_path, **plain) == FROZEN


def test_threads_at_work_at_once_give_the_same_bytes():
    values = np.random.default_rng(0).standard_normal(100_000, dtype=np.float32)
    with ThreadPoolExecutor(4) as pool:
        books = list(pool.map(lambda _: kmeans.fit(values, 16, rate=1e-3).tobytes(), range(8)))
    assert set(books) == {kmeans.fit(values, 16, rate=1e-3).tobytes()}
