"""Machine code that lies beside the source is used where nothing can be written, as in an image.

numba takes no folder that it cannot write, even to read from it. With

    NUMBA_CACHE_LOCATOR_CLASSES=labeling.ice.prebuilt.BesideSource

in the environment it does (docker/Dockerfile sets that). The code must have been compiled for the same
processor: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say for which, at that time and when it runs.
"""

from __future__ import annotations

from contextlib import suppress

from numba.core.caching import InTreeCacheLocator


class BesideSource(InTreeCacheLocator):
    """The folder `__pycache__` beside a module, whether it can be written or not."""

    def ensure_cache_path(self) -> None:
        """Make the folder where that can be done; where not, only what is to be kept anew will fail."""
        with suppress(OSError):
            super().ensure_cache_path()  # type: ignore[no-untyped-call]
