import subprocess
import sys
from contextlib import ExitStack

import pytest
from lean_start import lean_environment

from labeling.errors import ConfigError
from labeling.files.locks.folder import LOCK, folder_lock
from training.folder.opening import Hold


def test_two_trainings_cannot_hold_one_folder(tmp_path):
    with Hold(tmp_path) as first, Hold(tmp_path) as second:
        first.take()
        with pytest.raises(ConfigError, match=f"{tmp_path} is in use by train"):
            second.take()
        assert (tmp_path / LOCK).is_file()
    with Hold(tmp_path) as third:
        third.take()


def test_taking_again_what_is_held_changes_nothing(tmp_path):
    with Hold(tmp_path) as hold:
        hold.take()
        token = hold.token
        hold.take()
        assert hold.token == token
    assert not list(tmp_path.iterdir())


def test_a_rank_that_does_not_lead_leaves_the_folder_alone(tmp_path):
    with Hold(tmp_path / "model") as hold:
        hold.token = "known"
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("written", [False, True])
def test_a_folder_made_for_nothing_goes_again(tmp_path, written):
    out = tmp_path / "a" / "model"
    with Hold(out) as hold:
        hold.take()
        assert (out / LOCK).is_file()
        if written:
            (out / "history.csv").touch()
    assert out.exists() == written


def test_the_users_own_empty_folder_stays(tmp_path):
    with Hold(tmp_path) as hold:
        hold.take()
    assert tmp_path.is_dir()


def test_the_lock_of_a_killed_leader_is_taken_over_at_once(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from training.folder.opening import Hold\n"
        "hold = Hold(Path(sys.argv[1])); hold.take(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path], env=lean_environment(), check=False)
    assert killed.returncode < 0
    assert (tmp_path / LOCK).is_file()
    with Hold(tmp_path) as hold:
        hold.take()


def test_the_next_leader_inherits_though_the_first_seems_to_live(tmp_path):
    with ExitStack() as stack:
        token = stack.enter_context(folder_lock(tmp_path, "train"))
        with Hold(tmp_path) as heir:
            heir.token = token
            heir.take()
            assert heir.token != token


def test_a_file_is_no_model_folder(tmp_path):
    (tmp_path / "model").touch()
    with Hold(tmp_path / "model") as hold, pytest.raises(ConfigError, match="is a file; --out"):
        hold.take()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        Hold(tmp_path / "file" / "model") as hold,
        pytest.raises(ConfigError, match=r"cannot write to .*--out"),
    ):
        hold.take()
