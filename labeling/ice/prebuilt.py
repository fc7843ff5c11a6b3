"""Machine code that lies beside the source is used where nothing can be written, as in an image.

numba takes no folder that it cannot write, even to read from it. With

    NUMBA_CACHE_LOCATOR_CLASSES=labeling.ice.prebuilt.BesideSource

in the environment it does (docker/Dockerfile sets that). The code must have been compiled for the same
processor: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say for which, at that time and when it runs.
"""

from __future__ import annotations

from numba.core.caching import InTreeCacheLocator


class BesideSource(InTreeCacheLocator):  # type: ignore[misc]  # no type information is published
    """The folder `__pycache__` beside a module, whether it can be written or not."""

    def ensure_cache_path(self) -> None:
        """Raise nothing: what cannot be written is told when something new is to be kept, see kernels.py."""
