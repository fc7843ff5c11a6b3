"""How the compiled loops are compiled: on the first call, and kept on disk where that can be done.

numba itself is loaded then, too: it takes half a second, and what only plans work never calls a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

Kernel = Callable[..., Any]


def compiled(function: Kernel) -> Kernel:
    """Compile on the first call, and keep the machine code for other processes where a folder can be had.

    numba looks for one in NUMBA_CACHE_DIR, beside the source and in the user's cache. Where there is none it
    raises: at once, or at the first call, as for code in a zip and a worker whose home cannot be written. A
    full disk makes it raise too. Then this process compiles for itself.
    """

    @cache
    def kernel(*, kept: bool) -> Kernel:
        from numba import njit

        made: Kernel = njit(nogil=True, cache=kept)(function)
        return made

    kept = True

    @wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal kept
        if kept:
            try:
                return kernel(kept=True)(*arguments)
            except (OSError, RuntimeError):  # from the cache: compiled code raises none
                kept = False
        return kernel(kept=False)(*arguments)

    return call
