import subprocess
import sys

import pytest
from chip_factory import write_chips

from jobs.train import main
from training.folder.card import read_model_card

pytestmark = pytest.mark.slow


def test_the_command_trains_from_a_shipped_file_and_flags_override_it(tmp_path, request):
    chips, out = write_chips(tmp_path / "chips", train=3, val=2), tmp_path / "model"
    arguments = ["--config", "jobs/conf/train-demo.yaml", "--chips", chips, "--out", out, "--epochs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "jobs.train", *arguments, "--seed", "7"],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("epoch 1/1")
    assert done.stderr == ""
    card = read_model_card(out)
    assert (card.depth, card.epochs_run, card.seed) == (4, 1, 7)


def test_what_the_user_can_mend_is_said_in_one_line_with_code_2(tmp_path, monkeypatch, capsys):
    nowhere = ["--chips", str(tmp_path / "none"), "--out", str(tmp_path / "model")]
    assert main(nowhere) == 2
    assert main([*nowhere, "--epochs", "0"]) == 2
    message = capsys.readouterr().err.splitlines()
    assert len(message) == 2
    assert "chips.json is missing" in message[0]
    assert "'epochs'" in message[1]
    monkeypatch.setenv("HOROVOD_RANK", "1")
    assert main([*nowhere, "--epochs", "0"]) == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("flags", "rank", "said"),
    [(["--ranks", "2"], "0", "leave it out under horovodrun"), (["--min-ranks", "1"], None, "give both"),
     (["--ranks", "1", "--min-ranks", "2"], None, "between 1 and --ranks")],
)  # fmt: skip
def test_ranks_that_cannot_be_started_are_refused(monkeypatch, capsys, flags, rank, said):
    if rank is not None:
        monkeypatch.setenv("HOROVOD_RANK", rank)
    assert main(["--chips", "nowhere", "--out", "nowhere", *flags]) == 2
    assert said in capsys.readouterr().err


def test_ranks_get_the_command_line_without_what_started_them(monkeypatch):
    seen = []
    monkeypatch.setattr("jobs.train.start", lambda *given: seen.append(given) or 75)
    assert (
        main(["--chips", "c", "--ranks", "4", "--out=o", "--min-ranks=2", "--resume", "--cooldown", "2", "4"])
        == 75
    )
    assert seen == [
        ([sys.executable, "-m", "jobs.train", "--chips", "c", "--out=o", "--resume"], 4, 2, [2.0, 4.0])
    ]
