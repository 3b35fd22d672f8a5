"""Fixtures and settings shared by all tests."""

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from qcodec import _core
from qcodec._arrays import numpy_dtype

ISAS = ("portable", "avx2", "avx512")

# The same examples in every run: a find becomes a fixed example, not a flaky build.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("ci")


@contextlib.contextmanager
def level(name):
    """An instruction set for a while; the one that was active comes back afterwards."""
    before = _core.isa()
    _core.set_isa(name)
    try:
        yield
    finally:
        _core.set_isa(before)


@pytest.fixture(params=ISAS)
def isa(request):
    """Each instruction set in turn."""
    best = _core.best_isa()
    if ISAS.index(request.param) > ISAS.index(best):
        pytest.skip(f"this CPU stops at {best}")
    with level(request.param):
        yield request.param


@pytest.fixture
def touched(monkeypatch):
    """New arrays have been touched: only then are large ones written around the caches."""

    def ones(shape, dtype, where):
        return np.ones(shape, numpy_dtype(dtype))

    monkeypatch.setattr("qcodec.reading.empty_output", ones)


def pytest_configure(config):
    # Hypothesis imports this to print a patch, and only where a test has failed already.
    config.addinivalue_line("filterwarnings", "ignore:mypy_extensions.TypedDict:DeprecationWarning")
