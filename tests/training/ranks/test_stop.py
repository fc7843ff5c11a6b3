import json
import os
import signal

from training.ranks.stop import MARK, Stop, leave_mark


def test_a_stop_remembers_the_signal_and_gives_the_handler_back():
    before = signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_mark_says_how_far_the_training_came(tmp_path):
    leave_mark(tmp_path, epoch=3, seen=40, steps=25)
    mark = json.loads((tmp_path / MARK).read_text())
    assert mark == {"reason": "SIGTERM", "epoch": 3, "chips_seen": 40, "steps": 25}
