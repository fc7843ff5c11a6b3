"""Predicts training on many GPUs from the time of a step, the size of the gradients and the link's speed.

A prediction. Each rank keeps its batch, so n ranks learn from n times the chips in a step. A ring all-reduce
sends 2 (n - 1) / n of the gradients' bytes over every link (Patarasuk and Yuan 2009). How much of it hides
behind the backward pass depends on the link and is taken to be nothing (exchange.py measures it). Left out is
what makes one rank slower than another: reading chips, the operating system, a shared link.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PUBLISHED: Final = 7.21
"""Times faster on 8 GPUs of a DGX, Iqrah et al. 2024."""


class Job(NamedTuple):
    """What a training does in a step."""

    step: float
    """Seconds of a step of one rank alone."""
    bytes: int
    """Size of the gradients."""


class Link(NamedTuple):
    """What connects one rank to the next."""

    rate: float
    """Bytes a second that arrive, one way."""
    delay: float = 0.0
    """Seconds until the first byte of a message does."""


def reduction(job: Job, link: Link, ranks: int) -> float:
    """Return the seconds that `ranks` take to add up their gradients; 0 for one."""
    messages = 2 * (ranks - 1)
    return messages * (job.bytes / ranks / link.rate + link.delay)


def times_faster(job: Job, link: Link, ranks: int) -> float:
    """Return how many times the chips of one rank `ranks` learn from in a second."""
    return ranks * job.step / (job.step + reduction(job, link, ranks))


def rate_for(job: Job, ranks: int, faster: float) -> float:
    """Return the link's bytes a second, without delay, at which `ranks` (2 or more) are so many times faster.

    ValueError unless 0 < `faster` < `ranks`.
    """
    if not 0 < faster < ranks:
        raise ValueError(f"{ranks} ranks cannot be {faster:g} times faster over any link")
    return 2 * (ranks - 1) / ranks * job.bytes / (job.step * (ranks / faster - 1))
