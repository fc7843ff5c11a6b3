"""What one rank or all cannot train with is refused by all of them, and told once.

That a refusal ends the job is in test_train_parallel.py and test_faults_parallel.py.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from chip_factory import write_chips
from ranks import horovodrun

pytestmark = pytest.mark.parallel


class Refused(NamedTuple):
    """One training: exit code and what was printed, of each rank."""

    codes: tuple[int, int]
    said: tuple[str, str]


def chips_of_two_sizes(folder):
    """Write chips of which the first file has some of another size."""
    for name, size in (("mixed", 16), ("odd", 32)):
        write_chips(folder / name, train=7, val=3, size=size)
    shutil.copy(*(folder / name / "split=train/train-scene-000.parquet" for name in ("odd", "mixed")))
    return folder / "mixed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("refusals")


@pytest.fixture(scope="module")
def refused(folder):
    """Return what became of each training, after one run of two ranks."""
    one, other = (
        write_chips(folder / f"chips{seed}", train=7, val=3, size=16, seed=seed) for seed in range(2)
    )
    shares = folder / "train.yaml"
    shares.write_text(yaml.safe_dump({"balance": [3, 1, 1], "depth": 2}))
    of_all = {
        "chips": [["--chips", one], ["--chips", other]],
        "settings": [["--chips", one, "--batch-size", size] for size in (1, 2)],
        "missing": [["--chips", one], ["--chips", folder / "none"]],
        "unreadable": [["--chips", chips_of_two_sizes(folder)]] * 2,
        "shares": [["--chips", one, "--config", shares]] * 2,
    }
    cases = {
        name: [[*map(str, own), "--out", str(folder / f"model-{name}")] for own in ranks]
        for name, ranks in of_all.items()
    }
    (folder / "cases.json").write_text(json.dumps(cases))
    script = Path(__file__).with_name("refusals.py")
    ended = horovodrun(2, sys.executable, script, folder / "cases.json", folder)
    assert ended.code == 0, ended.output
    reports = [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]
    return {name: Refused(*zip(*(report[name] for report in reports), strict=True)) for name in cases}


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("chips", "does not see what rank 0 on"),
        ("settings", "batch_size was 1, now 2"),
        ("missing", "chips.json is missing"),
        ("unreadable", "is not 16 x 16 pixels"),
        ("shares", "balance has 3 shares for 2 ranks"),
    ],
)
def test_all_ranks_refuse_and_one_says_why(refused, folder, case, message):
    codes, said = refused[case]
    assert codes == (2, 2)
    assert "".join(said).count(message) == 1, said
    assert "Traceback" not in "".join(said)
    assert not (folder / f"model-{case}").exists()


def test_the_rank_and_its_chips_are_named(refused, folder):
    assert str(folder / "chips1") in refused["chips"].said[0]
    assert "(rank 1)" in refused["missing"].said[0]
