"""No search for cycles while rows of very many scenes are made: they have none, and stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Let Python search for no cycles in the block, or in a function that this decorates.

    It searches all objects again whenever their number has grown by a quarter, which takes half as long as
    making a hundred thousand rows. Nothing that makes cycles may go on for long in the block.
    """
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()
