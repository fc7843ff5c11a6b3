"""Begins trainings that are refused, one after the other.

A job of one_start.py: main(CASES.json, REPORTS)

CASES.json names the arguments of `jobs.train` for each rank: {case: [[…], […]]}. REPORTS gets from each rank
{case: [exit code, what it printed]}. While the case "in-use" runs, rank 0 holds the lock of its folder.
"""

import io
import json
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import jobs.train
from labeling.files.locks.folder import folder_lock
from training.ranks import collectives


def main(cases, reports):
    rank, report = collectives.start().rank, {}
    for name, arguments in json.loads(Path(cases).read_text()).items():
        out = Path(arguments[rank][arguments[rank].index("--out") + 1])
        with (
            folder_lock(out, "train") if (name, rank) == ("in-use", 0) else nullcontext(),
            redirect_stderr(io.StringIO()) as said,
            # The other ranks give the leader time to speak before they end, and none ends here.
            mock.patch.object(jobs.train, "time", SimpleNamespace(sleep=lambda _: None)),
        ):
            code = jobs.train.main(arguments[rank])
        report[name] = code, said.getvalue()
    (Path(reports) / f"rank-{rank}.json").write_text(json.dumps(report))
