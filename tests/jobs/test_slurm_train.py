"""`jobs.slurm.train` outside of a job of Slurm's: what it says, and what it would pass on."""

import pytest

from jobs.slurm.train import going_on, main, parser


def test_outside_of_a_job_it_says_so(capsys, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert main(["--out", "model"]) == 2
    assert "slurm: SLURM_JOB_ID is not set, so this is no job of Slurm's" in capsys.readouterr().err


def test_a_folder_must_be_named_for_what_ranks_say(capsys):
    assert main(["--chips", "chips"]) == 2
    assert "give --out" in capsys.readouterr().err


def test_what_it_does_not_know_is_for_jobs_train_in_its_order():
    given, rest = parser().parse_known_args(
        ["--chips", "c", "--out", "m", "--requeues", "3", "--srun", "--container-image=a b", "--seed", "5"]
    )
    assert rest == ["--chips", "c", "--seed", "5"]
    assert (given.requeues, given.srun) == (3, ["--container-image=a", "b"])


@pytest.mark.parametrize(
    ("options", "restarts", "passed"),
    [
        (["--seed", "5"], 0, ["--seed", "5", "--resume"]),
        (["--resume", "--seed", "5"], 2, ["--seed", "5", "--resume"]),
        (["--overwrite"], 0, ["--overwrite"]),
        (["--overwrite"], 1, ["--resume"]),
    ],
)
def test_a_training_goes_on_and_is_deleted_at_most_once(options, restarts, passed):
    assert going_on(options, restarts) == passed
