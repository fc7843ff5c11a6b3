"""Text that every file and terminal can hold."""

from __future__ import annotations


def encodable(text: str) -> str:
    r"""Return a text whose parts that UTF-8 cannot hold are escaped.

    Such are the bytes of a file name that is not UTF-8, and half characters that JSON lets pass.

    >>> encodable("sc\udce8ne")
    'sc\\udce8ne'
    """
    return text.encode("utf-8", "backslashreplace").decode()
