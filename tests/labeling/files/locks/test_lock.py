"""Locks: one job at a time in a folder, whoever races, dies, comes back or shares the file system."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import ROOT

from labeling.errors import ConfigError
from labeling.files.layout import make_run
from labeling.files.locks import folder as lock
from labeling.files.locks import holder as lock_holder
from labeling.files.locks.folder import LOCK, SILENT, folder_lock, run_lock
from labeling.files.locks.holder import Holder, introduce, machine, start_of

HOLDER = """
import signal, sys, time
from pathlib import Path
from labeling.files.locks.folder import folder_lock

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
with folder_lock(Path(sys.argv[1]), "label"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holding(tmp_path):
    """Return a function that starts a process which holds the folder."""
    started = []

    def start():
        command = [sys.executable, "-c", HOLDER, str(tmp_path)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def left_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def leave(folder, *, silent=0.0, **fields):
    """Put a lock into a folder as another process would have left it, touched so many seconds ago."""
    holder = introduce("label").model_copy(update=fields)
    (folder / LOCK).write_text(holder.model_dump_json())
    touched = (folder / LOCK).stat().st_mtime - silent
    os.utime(folder / LOCK, (touched, touched))
    return holder


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


class TestHeld:
    def test_the_second_job_is_refused_by_a_message_that_names_the_first(self, tmp_path):
        run = make_run(tmp_path)
        with run_lock(run, "label"):
            holder = lock._read(tmp_path / LOCK)
            with pytest.raises(ConfigError) as refused, run_lock(run, "infer"):
                pytest.fail("both jobs hold the folder")
        told = str(refused.value)
        assert f"{tmp_path} is in use by label (host {holder.host}, process {os.getpid()}, since 20" in told
        assert shlex.join(sys.orig_argv)[:40] in told
        assert f"delete {tmp_path / LOCK}" in told

    def test_a_refused_job_leaves_the_lock_of_the_first(self, tmp_path):
        with folder_lock(tmp_path, "label"):
            before = (tmp_path / LOCK).read_text()
            with pytest.raises(ConfigError), folder_lock(tmp_path, "infer"):
                pass
            assert left_in(tmp_path) == [LOCK]
            assert (tmp_path / LOCK).read_text() == before

    def test_nothing_is_left_at_the_end_also_after_an_error(self, tmp_path):
        with folder_lock(tmp_path, "label"):
            pass
        assert left_in(tmp_path) == []
        with pytest.raises(ZeroDivisionError), folder_lock(tmp_path, "label"):
            raise ZeroDivisionError
        assert left_in(tmp_path) == []

    def test_other_folders_are_other_locks(self, tmp_path):
        (tmp_path / "model").mkdir()
        with folder_lock(tmp_path, "label"), folder_lock(tmp_path / "model", "train"):
            assert left_in(tmp_path) == left_in(tmp_path / "model") == [LOCK]

    def test_an_heir_takes_over_from_the_living(self, tmp_path):
        # On another host a process that was killed seems to live until it has been silent for long.
        gone = leave(tmp_path, machine="another", host="elsewhere")
        with pytest.raises(ConfigError, match="elsewhere"), folder_lock(tmp_path, "train", heir_of="0" * 32):
            pass
        with folder_lock(tmp_path, "train", heir_of=gone.token) as token:
            # Nobody else inherits from it, and the heir is refused to others.
            for other in (gone.token, None):
                with pytest.raises(ConfigError, match="in use by train"):
                    lock.acquire(tmp_path, introduce("train"), heir_of=other)
            with folder_lock(tmp_path, "train", heir_of=token):
                pass

    def test_the_heartbeat_touches_the_lock_and_ends_with_the_job(self, tmp_path, monkeypatch):
        monkeypatch.setattr(lock, "BEAT", 0.01)
        with folder_lock(tmp_path, "label"):
            os.utime(tmp_path / LOCK, (1, 1))
            deadline = time.monotonic() + 30
            while (tmp_path / LOCK).stat().st_mtime == 1:
                assert time.monotonic() < deadline, "no heartbeat"
                time.sleep(0.01)
        assert "lock heartbeat" not in [thread.name for thread in threading.enumerate()]

    def test_a_command_with_credentials_is_not_written_down(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "orig_argv", ["label", "--scenes", "https://bob:hunter2@host/a.tif"])
        with folder_lock(tmp_path, "label"):
            assert "hunter2" not in (tmp_path / LOCK).read_text()
            assert "host/a.tif" in (tmp_path / LOCK).read_text()

    def test_a_command_of_a_thousand_scenes_is_cut(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "orig_argv", ["label", "--scenes", *(f"{n}.tif" for n in range(1000))])
        with (
            folder_lock(tmp_path, "label"),
            pytest.raises(ConfigError, match=r": label --scenes 0\.tif 1\.tif .* …\. Wait") as refused,
            folder_lock(tmp_path, "infer"),
        ):
            pass
        assert len(str(refused.value)) < 1000

    def test_a_lock_that_cannot_be_removed_does_not_fail_the_job(self, tmp_path, monkeypatch):
        def refuse(*_, **__):
            raise PermissionError

        with monkeypatch.context() as patched, folder_lock(tmp_path, "label"):
            patched.setattr(Path, "unlink", refuse)
        assert LOCK in left_in(tmp_path)


class TestStale:
    def test_a_killed_holder_loses_the_folder_at_once(self, tmp_path, holding):
        process = holding()
        with pytest.raises(ConfigError, match=f"process {process.pid},"), folder_lock(tmp_path, "infer"):
            pass
        process.kill()
        # Until somebody asks how it ended it is a zombie, and that must do.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with folder_lock(tmp_path, "infer"):
            assert json.loads((tmp_path / LOCK).read_text())["pid"] == process.pid
            second = pytest.raises(ConfigError, match=f"in use by infer .* process {os.getpid()},")
            with second, folder_lock(tmp_path, "evaluate"):
                pass
        assert left_in(tmp_path) == []

    def test_an_exit_raised_by_sigterm_removes_the_lock(self, tmp_path, holding):
        process = holding()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
        assert left_in(tmp_path) == []

    def test_a_process_number_used_again_is_not_the_old_job(self, tmp_path):
        leave(tmp_path, process="1")
        with folder_lock(tmp_path, "infer"):
            pass
        assert left_in(tmp_path) == []

    def test_a_living_job_that_was_stopped_for_an_hour_keeps_its_lock(self, tmp_path):
        leave(tmp_path, silent=3600)
        with pytest.raises(ConfigError, match="in use by label"), folder_lock(tmp_path, "infer"):
            pass

    @pytest.mark.parametrize("elsewhere", [{"machine": "another"}, {"process": ""}])
    def test_what_cannot_be_looked_at_is_judged_by_its_silence(self, tmp_path, elsewhere):
        leave(tmp_path, silent=SILENT - 30, **elsewhere)
        with pytest.raises(ConfigError, match="in use by label"), folder_lock(tmp_path, "infer"):
            pass
        leave(tmp_path, silent=SILENT + 30, **elsewhere)
        with folder_lock(tmp_path, "infer"):
            pass
        assert left_in(tmp_path) == []

    def test_another_host_may_have_a_process_of_a_number_that_ended_here(self, tmp_path):
        leave(tmp_path, machine="another", pid=dead_process())
        with pytest.raises(ConfigError), folder_lock(tmp_path, "infer"):
            pass

    def test_a_batch_job_that_begins_anew_takes_over_from_its_earlier_start_on_another_host(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
        earlier = {"machine": "another", "batch": " 7", "start": 0}
        for other in ({"start": 1}, {"batch": " 8"}, {"batch": ""}):
            leave(tmp_path, **earlier | other)
            with pytest.raises(ConfigError, match="in use by label"), folder_lock(tmp_path, "label"):
                pass
        leave(tmp_path, **earlier)
        with folder_lock(tmp_path, "label"):
            pass
        assert left_in(tmp_path) == []

    def test_silence_is_told_by_the_clock_of_the_file_server(self, tmp_path, monkeypatch):
        behind, touch = 7200, Path.touch

        def touch_by_server(path, *arguments, **options):
            touch(path, *arguments, **options)
            os.utime(path, (path.stat().st_mtime - behind,) * 2)

        monkeypatch.setattr(Path, "touch", touch_by_server)
        leave(tmp_path, machine="another", silent=behind + 10)
        with pytest.raises(ConfigError), folder_lock(tmp_path, "infer"):
            pass

    @pytest.mark.parametrize("content", ["", "{", "not a lock", '{"job": "label"}', '{"token": "../x"}'])
    def test_a_lock_that_cannot_be_read_is_taken_over_when_silent(self, tmp_path, monkeypatch, content):
        monkeypatch.setattr(lock.time, "sleep", lambda _: None)
        (tmp_path / LOCK).write_text(content)
        with pytest.raises(ConfigError, match="an unknown job"), folder_lock(tmp_path, "infer"):
            pass
        os.utime(tmp_path / LOCK, (1, 1))
        with folder_lock(tmp_path, "infer"):
            pass
        assert left_in(tmp_path) == []

    def test_one_killed_after_the_other_are_all_cleared_away(self, tmp_path, holding):
        for _ in range(3):
            process = holding()
            process.kill()
            process.wait()
        assert len(left_in(tmp_path)) == 3
        with folder_lock(tmp_path, "infer"):
            pass
        assert left_in(tmp_path) == []


class TestTakenOver:
    def test_who_was_taken_for_dead_removes_nothing_of_the_next(self, tmp_path, monkeypatch, caplog):
        with ExitStack() as first, ExitStack() as second:
            first.enter_context(folder_lock(tmp_path, "label"))
            with monkeypatch.context() as patched:
                patched.setattr(lock, "_lives", lambda *_: False)
                second.enter_context(folder_lock(tmp_path, "infer"))
            before = left_in(tmp_path)
            with caplog.at_level("WARNING", "polynya.lock"):
                first.close()
            assert "was taken from label" in caplog.text
            assert left_in(tmp_path) == before
            with pytest.raises(ConfigError, match="in use by infer"), folder_lock(tmp_path, "evaluate"):
                pass
        assert left_in(tmp_path) == []

    def test_after_a_lock_was_deleted_by_hand_the_next_one_stays(self, tmp_path):
        with ExitStack() as first, ExitStack() as second:
            first.enter_context(folder_lock(tmp_path, "label"))
            (tmp_path / LOCK).unlink()
            second.enter_context(folder_lock(tmp_path, "infer"))
            before = (tmp_path / LOCK).read_text()
            first.close()
            assert left_in(tmp_path) == [LOCK]
            assert (tmp_path / LOCK).read_text() == before
        assert left_in(tmp_path) == []


class TestProcess:
    def test_start_is_the_same_for_ever_and_none_when_ended(self):
        mine = start_of(os.getpid())
        assert mine
        assert start_of(os.getpid()) == mine
        assert start_of(dead_process()) is None

    def test_a_process_that_others_hide_is_neither_there_nor_gone(self, monkeypatch):
        def not_allowed(*_):
            raise PermissionError

        monkeypatch.setattr(os, "kill", not_allowed)
        monkeypatch.setattr(Path, "read_bytes", not_allowed)
        assert start_of(1) == ""
        assert Holder(token="0" * 32, machine=machine(), pid=1, process="5").runs() is None

    def test_without_proc_the_machine_is_its_name(self, monkeypatch):
        def absent(*_):
            raise FileNotFoundError

        monkeypatch.setattr(Path, "read_text", absent)
        assert lock_holder.machine.__wrapped__() == lock_holder.socket.gethostname()
