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
