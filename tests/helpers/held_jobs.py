"""Jobs one after another in one process, which pays for Python's imports and for Spark's start once.

with HeldJobs(environment, folder / "said.txt") as jobs:
    code, said = jobs.run("label", "--scenes", ...)

Each runs as by `python -m jobs.<job>`, its module as __main__. But a Spark session goes on while its settings
stay the same, and so do its workers.
"""

import json
import os
import runpy
import select
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]


class HeldJobs:
    """Runs jobs with `environment` while the block runs; `file` has all that its processes ever said."""

    def __init__(self, environment, file):
        self._environment = environment | {"PYTHONPATH": str(ROOT)}
        self.file = file

    def __enter__(self):
        with self.file.open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, __file__], cwd=ROOT, env=self._environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip
        return self

    def __exit__(self, *_):
        try:
            self._process.communicate(timeout=60)  # closes its stdin
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise

    def run(self, job, *arguments):
        """Return a job's exit code and what it said, on standard output and standard error."""
        before = self.file.stat().st_size
        self._process.stdin.write(json.dumps([job, *map(str, arguments)]) + "\n")
        self._process.stdin.flush()
        ready = select.select([self._process.stdout], [], [], 300)[0]
        answer = self._process.stdout.readline() if ready else ""
        said = self.file.read_bytes()[before:].decode()
        if not answer:
            self._process.kill()
            raise RuntimeError(f"the process of the jobs {'died' if ready else 'hangs'}: {said}")
        return json.loads(answer), said


def main():
    """Do what standard input asks for, and answer where standard output went: from here on, all is said."""
    from one_session import one_session  # only here: tests import this file for its class

    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        with one_session():
            for line in sys.stdin:
                answers.write(f"{json.dumps(exit_code(*json.loads(line)))}\n")
                answers.flush()


def exit_code(job, *arguments):
    """Run a job and return the exit code of its process, had it one."""
    sys.argv[1:] = arguments
    try:
        runpy.run_module(f"jobs.{job}", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    main()
