"""Begins trainings that are refused, one after the other, to start Horovod only once. Run under horovodrun.

python refusals.py CASES.json REPORTS

CASES.json names the arguments of `jobs.train` for each rank: {case: [[…], […]]}. REPORTS gets from each rank
{case: [exit code, what it printed]}.
"""

import io
import json
import sys
from contextlib import redirect_stderr
from pathlib import Path
from types import SimpleNamespace

import jobs.train
from training.ranks import collectives


def main(cases, reports):
    rank = collectives.start().rank
    # The other ranks give the leader time to speak before they end, and none ends here.
    jobs.train.time = SimpleNamespace(sleep=lambda _: None)
    report = {}
    for name, arguments in json.loads(cases.read_text()).items():
        with redirect_stderr(io.StringIO()) as said:
            code = jobs.train.main(arguments[rank])
        report[name] = code, said.getvalue()
    (reports / f"rank-{rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
