"""How every kernel of a search is compiled: in one place, so that none relaxes its arithmetic."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """`function` compiled: cached on disk, free of the GIL, additions in the order written.

    Division by zero gives what IEEE 754 says instead of an exception, which would keep loops
    from being vectorised. Neither ``fastmath`` nor ``parallel``: both reorder sums.
    """
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
