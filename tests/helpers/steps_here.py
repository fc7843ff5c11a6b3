"""Steps that a command starts processes for, done in this one: imports and Spark are paid for once."""

import subprocess
import sys

from jobs import label, train
from jobs.command import main_of

HERE = {
    "jobs.label": lambda arguments: main_of(lambda: label.main(arguments), "label"),
    "jobs.train": train.main,
}


def steps_here(monkeypatch, apart=()):
    """Let `subprocess.run` do `python -m jobs.<name>` here; the first of each name in `apart` as ever.

    It goes by the command alone, as a process does, and answers with the exit code.
    """
    run, apart = subprocess.run, {f"jobs.{name}" for name in apart}

    def here(command, *, check=False, **options):
        if command[:2] != [sys.executable, "-m"]:  # of a library
            return run(command, check=check, **options)
        module, *arguments = command[2:]
        if module in apart:
            apart.remove(module)
            return run(command, check=check, **options)
        if module == "jobs.label":  # so that the session of other tests will do
            arguments += ["--master", "local[2]"]
        code = int(HERE[module](arguments))
        if check and code:
            raise subprocess.CalledProcessError(code, command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(subprocess, "run", here)
