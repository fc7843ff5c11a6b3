"""Ways a training ends before its last epoch."""

from __future__ import annotations

from labeling.errors import PolynyaError


class TrainingError(PolynyaError):
    """The training itself went wrong, for example the loss is no number any more; the job exits with 1."""


class StoppedError(PolynyaError):
    """The batch system asked the job to end; what was learned is in a checkpoint."""
