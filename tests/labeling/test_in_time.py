"""Work that takes too long is given up, and the process that gave it up can still be ended."""

import os
import signal
import subprocess
import sys
import time
from threading import Event

import pytest

from labeling.in_time import LateError, in_time, still_waiting

WAITING = """
import os, signal, sys
from functools import partial
from labeling.in_time import in_time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
os.mkfifo(sys.argv[1])
print("waiting", flush=True)
in_time(partial(open, sys.argv[1], "rb"), 600)
"""


def test_what_work_returns_and_raises_comes_through():
    assert in_time(lambda: 3, 60) == 3
    with pytest.raises(KeyError):
        in_time(lambda: {}["absent"], 60)
    with pytest.raises(TimeoutError):  # of the work itself
        in_time(lambda: (_ for _ in ()).throw(TimeoutError()), 60)


def test_late_work_is_given_up_and_known_to_go_on():
    hold, began = Event(), time.monotonic()
    with pytest.raises(LateError):
        in_time(lambda: hold.wait(60), 0.2)
    assert time.monotonic() - began < 5
    assert still_waiting()
    hold.set()
    while still_waiting():
        time.sleep(0.01)


def test_a_process_that_waits_for_a_pipe_obeys_sigterm(tmp_path):
    command = [sys.executable, "-c", WAITING, str(tmp_path / "pipe")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=5) == 7
