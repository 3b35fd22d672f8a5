"""Builds the two extensions. Everything else is in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import Extension, setup

ROOT = Path(__file__).parent
SANITIZE = os.environ.get("QCODEC_BUILD") == "sanitize"

# Kernels choose their instruction set at run time, so no flag here names a CPU. GCC 12 takes the
# undefined registers inside its own AVX-512 headers for uninitialised variables.
FLAGS = ["-O3", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"]
FLAGS += ["-Wno-uninitialized", "-Wno-maybe-uninitialized"]
LINK: list[str] = []
if SANITIZE:
    FLAGS += ["-g", "-O1", "-UNDEBUG", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    LINK += ["-fsanitize=address,undefined"]

core = Pybind11Extension(
    "qcodec._core",
    sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.cpp")),
    include_dirs=["csrc"],
    depends=sorted(str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.hpp")),
    cxx_std=20,
    extra_compile_args=FLAGS,
    extra_link_args=LINK,
)
fields = Extension("qcodec.container._fields", ["qcodec/container/_fields.pyx"])

ParallelCompile("QCODEC_BUILD_JOBS", default=os.cpu_count() or 1).install()
setup(
    ext_modules=[
        core,
        *cythonize(
            [fields],
            compiler_directives={"language_level": 3, "freethreading_compatible": True},
        ),
    ]
)
