"""Spark's local folders, for this user alone: Spark makes them readable for everybody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Final

VARIABLE: Final = "SPARK_LOCAL_DIRS"
"""Where Spark puts what does not stay in memory, with commas between; without it, in the temporary folder."""


@contextmanager
def private_folders() -> Iterator[None]:
    """Have a session that starts in the block use new folders of mode 0700 in those that were given."""
    given = os.environ.get(VARIABLE)
    with ExitStack() as stack:
        places = given.split(",") if given else [None]
        made = [
            stack.enter_context(TemporaryDirectory(prefix="polynya-", dir=place, ignore_cleanup_errors=True))
            for place in places
        ]
        os.environ[VARIABLE] = ",".join(made)
        try:
            yield
        finally:
            os.environ.pop(VARIABLE)
            if given:
                os.environ[VARIABLE] = given
