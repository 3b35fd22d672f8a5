"""How many threads, and what they do."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def resolve_threads(threads: int | None) -> int:
    """`threads`, or as many as the process may run on."""
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads must be a positive int, got {threads!r}")
    return min(threads, 1024)


def in_threads(fn: Callable[[T], R], items: Sequence[T], threads: int) -> Iterator[R]:
    """What `fn` makes of each item, in order; native code leaves the interpreter to others."""
    count = min(threads, len(items))
    if count <= 1:
        yield from map(fn, items)
        return
    pool = ThreadPoolExecutor(count)
    try:
        yield from pool.map(fn, items)
    finally:
        pool.shutdown(cancel_futures=True)
