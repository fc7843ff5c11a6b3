"""Elastic training: ranks may be lost and come back while it goes on.

    python -m jobs.train --ranks 2 --min-ranks 1 --chips RUN/chips --out RUN/model

Every rank keeps a commit in memory: a checkpoint that was never written. When a rank is lost, an exchange
fails on those that are left; when one can be taken in, they leave after a commit. Either way they meet anew,
share out what is left of the epoch among those who are there, and go on as after a resume, from the new rank
0's commit or from a newer checkpoint in the model folder. Horovod gives rank 0 to one that was there before.

The meeting is where Horovod 0.28 is weak: those who wait for a rank that dies on its way to it, or is later
than HOROVOD_GLOO_TIMEOUT_SECONDS, are ended by Horovod itself. So rank 0 writes a checkpoint before new ranks
are taken in, and a batch script should start the training again with --resume.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import horovod.common.elastic
import horovod.tensorflow as hvd
import tensorflow as tf
from horovod.common.exceptions import HorovodInternalError, HostsUpdatedInterrupt

from training.folder.checkpoints import Checkpoint, State, taken
from training.outcome import save
from training.prepare import Training
from training.ranks import collectives
from training.ranks.launched import launched_here
from training.ranks.news import News

T = TypeVar("T")

Commit = Callable[[Training, State], None]


class Start(NamedTuple):
    """What a training begins from."""

    resume: bool
    overwrite: bool
    committed: Checkpoint | None = None


class Commits:
    """This rank's last commit, and whether hosts came or went; what hvd.elastic.run asks of a state."""

    def __init__(self) -> None:
        self.last: Checkpoint | None = None
        self.hosts_changed = False

    def add(self, training: Training, state: State) -> None:
        """Commit; a collective. Raises HostsUpdatedInterrupt on all ranks where hosts came or went."""
        # Rank 0 before the others: what they hold it has written, if it is the end of an epoch.
        if training.world.leads:
            self.last = taken(state, training.model, training.optimizer)
        changed = collectives.any_rank(self.hosts_changed, "hosts")
        if not training.world.leads:
            self.last = taken(state, training.model, training.optimizer)
        if changed:
            if training.world.leads:
                save(training, state)  # should the meeting fail, a later run still loses nothing
            self.hosts_changed = False
            raise HostsUpdatedInterrupt(False)

    def on_hosts_updated(self, timestamp: int, result: Any) -> None:
        """Remember the news, which comes to rank 0 in another thread."""
        self.hosts_changed = True

    def restore(self) -> None:
        """Forget the news after a failure: all who are there meet anyway. The rest is for `begin`."""
        self.hosts_changed = False

    def sync(self) -> None:
        """Do nothing: a training brings its ranks to one start itself."""

    def on_reset(self) -> None:
        """Do nothing: news that came since the ranks have met must not be lost."""


def run(train: Callable[[Start, Commit], T], *, resume: bool, overwrite: bool) -> T:
    """Return what `train` does, which is called anew, on all ranks, whenever ranks were lost or came.

    It is told where to begin, and commits from time to time. All its exchanges must be inside it: a new rank
    begins with the first of them, as those that were there before do.
    """

    def attempt(commits: Commits) -> T:
        with _as_horovod_wants():
            # jobs/train.py looks there; Horovod itself changes it for C only.
            os.environ["HOROVOD_RANK"] = str(hvd.rank())
            again = collectives.any_rank(commits.last is not None, "again")
            start = Start(resume or again, overwrite and not again, commits.last)
            return train(start, commits.add)

    if launched_here():
        horovod.common.elastic.notification_manager = News()
    result: T = hvd.elastic.run(attempt)(Commits())
    return result


def no_commit(training: Training, state: State) -> None:
    """Do nothing: without elastic training nobody could go on from a commit."""


@contextmanager
def _as_horovod_wants() -> Iterator[None]:
    """Raise a failed exchange as HorovodInternalError.

    hvd.elastic.run knows the failures of three operations by their names and takes that of a grouped one for
    the end of the training.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if "horovod" not in error.message.lower():
            raise
        raise HorovodInternalError(error.message) from error
