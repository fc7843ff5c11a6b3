"""How the compiled loops are compiled: on the first call, and kept on disk where that can be done."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from numba import njit

Kernel = Callable[..., Any]


def compiled(function: Kernel) -> Kernel:
    """Compile on the first call, and keep the machine code for other processes where a folder can be had.

    numba looks for one in NUMBA_CACHE_DIR, beside the source and in the user's cache. Where there is none it
    raises: at once, or at the first call, as for code in a zip and a worker whose home cannot be written. A
    full disk makes it raise too. Then this process compiles for itself.
    """
    plain = njit(nogil=True)
    try:
        kernel = njit(nogil=True, cache=True)(function)
    except RuntimeError:
        kernel = plain(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal kernel
        try:
            return kernel(*arguments)
        except OSError:  # from the cache: compiled code raises none
            kernel = plain(function)
            return kernel(*arguments)

    return call
