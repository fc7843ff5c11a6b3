"""Ranks as processes, without Horovod: what reaches them, what they say, and how they end."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from conftest import ROOT
from stranger import as_stranger

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCY"
WAITING = "import time; print('ready', flush=True); time.sleep(600)"


def start(code, *flags, ranks=2, **environment):
    command = [sys.executable, "-m", "jobs.launch", "--ranks", ranks, *flags, sys.executable, "-c", code]
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, env=os.environ | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(code, *flags, **more):
    process = start(code, *flags, **more)
    said, told = process.communicate(timeout=120)
    return process.returncode, said, told


def when_ready(process, ranks=2):
    """Wait until each rank has said so, and return their processes."""
    lines = sorted(process.stdout.readline() for _ in range(ranks))
    assert lines == [f"[{rank}] ready\n" for rank in range(ranks)]
    return psutil.Process(process.pid).children()


def assert_gone(ranks):
    _, alive = psutil.wait_procs(ranks, timeout=20)
    assert not alive


def test_lines_are_marked_with_the_rank_and_stay_in_their_stream():
    code = (
        "import os, sys; rank = os.environ['HOROVOD_RANK']\n"
        "print('out', rank); print('err', rank, file=sys.stderr); os.write(1, b'no end \\xff')"
    )
    ended, said, told = run(code)
    assert ended == 0
    assert sorted(said.splitlines()) == ["[0] no end �", "[0] out 0", "[1] no end �", "[1] out 1"]
    assert sorted(told.splitlines()) == ["[0] err 0", "[1] err 1"]


@pytest.mark.parametrize(("how", "code"), [("sys.exit(75)", 75), ("os.kill(os.getpid(), 9)", 137)])
def test_a_rank_that_ends_badly_ends_the_others_within_seconds(how, code):
    begun = time.monotonic()
    ended, _, told = run(
        f"import os, signal, sys, time\nif os.environ['HOROVOD_RANK'] == '1': {how}\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
    )
    assert ended == code
    assert f"rank 1 ended with {code}" in told
    assert time.monotonic() - begun < 60  # not the 600 s that the other would have taken


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("flags", [[], ["--min-ranks", 1]], ids=["plain", "elastic"])
def test_signals_reach_every_rank_which_end_in_their_own_time(number, flags):
    code = (
        "import signal, sys, time\n"
        "def end(number, frame): time.sleep(1); print('got', number, flush=True); sys.exit(75)\n"
        f"signal.signal({number:d}, end); {WAITING}"
    )
    process = start(code, *flags)
    ranks = when_ready(process)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert sorted(said.splitlines()) == [f"[0] got {number:d}", f"[1] got {number:d}"]
    assert_gone(ranks)


def test_a_second_signal_kills():
    process = start(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITING}")
    ranks = when_ready(process)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
    process.communicate(timeout=60)
    assert process.returncode == 137
    assert_gone(ranks)


@pytest.mark.parametrize("flags", [[], ["--min-ranks", 1]], ids=["plain", "elastic"])
def test_ranks_are_gone_when_the_launcher_is_killed(flags):
    process = start(WAITING, *flags)
    ranks = when_ready(process)
    process.kill()
    process.communicate(timeout=60)
    assert_gone(ranks)


@pytest.mark.parametrize("flags", [[], ["--min-ranks", 1]], ids=["plain", "elastic"])
def test_another_user_sees_no_secret_of_the_job(flags):
    """Neither credentials nor the rendezvous's secret: not by `ps`, not in /proc."""
    process = start(
        f"import os; assert os.environ['AWS_SECRET_ACCESS_KEY'] == {SECRET[::-1]!r}[::-1]; {WAITING}",
        *flags, AWS_SECRET_ACCESS_KEY=SECRET,
    )  # fmt: skip
    try:
        ranks = when_ready(process)
        (key,) = {each.environ()["HOROVOD_GLOO_RENDEZVOUS_ADDR"].rpartition("/")[2] for each in ranks}
        pids = [process.pid, *(each.pid for each in ranks)]
        seen = as_stranger(
            "import subprocess, sys\n"
            "print(subprocess.run(['ps', 'auxwwe'], capture_output=True, text=True).stdout)\n"
            "for pid in sys.argv[1:]:\n"
            "    print(open(f'/proc/{pid}/cmdline').read())\n"
            "    try: print(open(f'/proc/{pid}/environ').read())\n"
            "    except PermissionError: print('environ', 'closed')\n",
            *pids,
        )
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert seen.count("jobs.launch") >= 2  # ps and cmdline do show the processes
    assert seen.count("\nenviron closed\n") == 3
    assert SECRET not in seen
    assert key not in seen


def test_variables_that_no_training_needs_stay_outside():
    code = "import os; print(os.environ.get('GITHUB_TOKEN'), os.environ.get('MINE'))"
    ended, said, _ = run(code, ranks=1, GITHUB_TOKEN="t", MINE="m", POLYNYA_PASS="MINE")
    assert (ended, said) == (0, "[0] None m\n")


@pytest.mark.parametrize("flags", [[], ["--min-ranks", "1"]], ids=["plain", "elastic"])
def test_a_program_that_is_not_there_is_told_once(flags):
    command = [sys.executable, "-m", "jobs.launch", "--ranks", "2", *flags, "no-such-program"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("launch: cannot start no-such-program: No such file or directory") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [(["--ranks", "0", "true"], "at least 1"), (["true"], "--ranks N"),
     (["--ranks", "2", "--min-ranks", "3", "true"], "--min-ranks"),
     (["--ranks", "2", "--min-ranks", "1", "--cooldown", "9", "3", "true"], "--cooldown")],
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused(flags, said):
    command = [sys.executable, "-m", "jobs.launch", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
