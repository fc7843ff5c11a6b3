"""The starter of jobs of Spark has options of its own, and takes none of the jobs' away."""

import pytest

from jobs import infer, label
from jobs.slurm.spark import parser


def options_of(given):
    return {name for action in given._actions for name in action.option_strings} - {"-h", "--help"}


@pytest.mark.parametrize("job", [label, infer])
def test_no_option_is_hidden(job):
    assert not options_of(parser()) & options_of(job.parser())


def test_the_jobs_own_options_are_left():
    given, own = parser().parse_known_args(
        ["infer", "--failed-scenes", "accept", "--network", "alone", "--log", "json", "--scenes", "a", "b"]
    )
    assert (given.job, given.failed_scenes, given.logs) == ("infer", "accept", None)
    assert own == ["--network", "alone", "--log", "json", "--scenes", "a", "b"]
