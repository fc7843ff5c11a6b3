"""Locks under races: real processes, some killed, and every order of operations that Hypothesis thinks of."""

import os
import signal
import sys
import tempfile
import threading
import time
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.errors import ConfigError
from labeling.files.locks import folder as lock
from labeling.files.locks.folder import folder_lock
from labeling.files.locks.holder import Holder, introduce, start_of

ALONE, CROWDED = 11, 12


def contend(folder, inside, dies):
    """Hold the folder once and end by a code that says whether nobody else did; some are killed instead."""
    while True:
        try:
            with folder_lock(folder, "contender"):
                mine = inside / str(os.getpid())
                mine.touch()
                time.sleep(0.005)
                if dies:
                    os.kill(os.getpid(), signal.SIGKILL)
                there = [path.name for path in inside.iterdir() if start_of(int(path.name)) is not None]
                mine.unlink()
            sys.exit(ALONE if there == [mine.name] else CROWDED)
        except ConfigError:
            time.sleep(0.02)


def test_of_many_processes_one_at_a_time_holds_the_folder(tmp_path):
    folder, inside = tmp_path / "run", tmp_path / "inside"
    folder.mkdir()
    inside.mkdir()
    context = get_context("forkserver")
    context.set_forkserver_preload(["labeling.files.locks.folder"])
    dying = [number % 3 == 0 for number in range(12)]
    contenders = [context.Process(target=contend, args=(folder, inside, dies)) for dies in dying]
    for contender in contenders:
        contender.start()
    for contender in contenders:
        contender.join(60)
        contender.kill()  # does nothing to one that has ended
    assert [c.exitcode for c in contenders] == [-signal.SIGKILL if dies else ALONE for dies in dying]


class Killed(BaseException):
    """Stands for kill -9: the code under test does not catch it."""


class Turns:
    """Runs contenders one operation on the file system at a time, in an order that the test decides."""

    def __init__(self, bodies):
        self._back = threading.Semaphore(0)
        self._go = [threading.Semaphore(0) for _ in bodies]
        self._mine = threading.local()
        self._killed = set()
        self.running = set(range(len(bodies)))
        self.errors = []
        for index, body in enumerate(bodies):
            threading.Thread(target=self._run, args=(index, body), daemon=True).start()

    def _run(self, index, body):
        self._mine.index, self._mine.free = index, True
        self._go[index].acquire()
        try:
            body()
        except BaseException as error:
            self.errors.append(error)
        self.running.discard(index)
        self._back.release()

    def turn(self):
        """Wait for the test's leave to go on."""
        index = self._mine.index
        self._back.release()
        self._go[index].acquire()
        if index in self._killed:
            self._killed.discard(index)
            raise Killed

    def step(self, index):
        """Let a contender go on up to its next operation."""
        if index in self.running:
            self._go[index].release()
            self._back.acquire()

    def kill(self, index):
        """End a contender where it is."""
        self._killed.add(index)
        self.step(index)

    def before(self, function):
        """Return `function` with a turn before it, in contenders; what it calls in turn has none."""

        def waiting(*arguments, **options):
            if not getattr(self._mine, "free", False):
                return function(*arguments, **options)
            self.turn()
            self._mine.free = False
            try:
                return function(*arguments, **options)
            finally:
                self._mine.free = True

        return waiting


def race(order):
    """Let three contenders go for a folder that a dead job left; `order` has (who, how far, dies there)."""
    numbers, dead, inside, template = iter(range(1, 1000)), {1000}, [], introduce("job")

    def holder(pid):
        return template.model_copy(update={"token": uuid4().hex, "pid": pid})

    def contend_thrice():
        for _ in range(3):
            pid = next(numbers)
            try:
                held = lock.acquire(folder, holder(pid))
                inside.append(pid)
                assert set(inside) <= dead | {pid}
                turns.turn()
                inside.remove(pid)
                lock.release(folder, held)
            except ConfigError:
                continue
            except Killed:
                dead.add(pid)

    turns = Turns([contend_thrice] * 3)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        folder = Path(name)
        lock.acquire(folder, holder(1000))
        for operation in ("open", "exists", "unlink", "read_bytes"):
            patched.setattr(Path, operation, turns.before(getattr(Path, operation)))
        # A turn between the moment when a lock is there and the one when it has its content.
        patched.setattr(Holder, "model_dump_json", turns.before(Holder.model_dump_json))
        patched.setattr(lock.time, "sleep", lambda _: None)
        patched.setattr(Holder, "runs", lambda holder: holder.pid not in dead if holder.pid else None)
        for index, steps, dies in order:
            for _ in range(steps):
                turns.step(index)
            if dies:
                turns.kill(index)
        for _ in range(1000):
            for index in sorted(turns.running):
                turns.step(index)
        assert turns.running == set()
        assert turns.errors == []
        if dead == {1000}:
            assert list(folder.iterdir()) == []


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 9), st.sampled_from([False, False, True])), max_size=40
    )
)
def test_no_order_of_operations_lets_two_in(order):
    race(order)


def test_two_interruptions_anywhere_let_no_third_in():
    whole, third = 100, 3
    for first in range(14):
        for second in range(9):
            race([(0, first, False), (1, second, False), (0, whole, False), (2, third, False)])
            race([(0, first, True), (1, second, False), (2, third, False), (1, whole, False)])
