"""What one rank or all cannot train with is refused by all of them, and told once.

That a refusal ends the job is in test_train_parallel.py and test_faults_parallel.py.
"""

import json
import shutil
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from chip_factory import write_chips

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


def chips_of_two_sizes_in_a_file(folder):
    """Write chips of which the first file begins well."""
    for name, size in (("broken", 16), ("large", 32)):
        write_chips(folder / name, train=7, val=3, size=size)
    name = "split=train/train-scene-000.parquet"
    found, wrong = (pq.read_table(folder / chips / name) for chips in ("broken", "large"))
    table = pa.concat_tables([found.slice(0, 1), wrong.slice(1)])
    pq.write_table(table, folder / "broken" / name, row_group_size=1)
    return folder / "broken"


def plan(folder):
    """Return the job of two ranks that begins each training."""
    one, other = (
        write_chips(folder / f"chips{seed}", train=7, val=3, size=16, seed=seed) for seed in range(2)
    )
    shares, small = folder / "shares.yaml", folder / "small.yaml"
    shares.write_text(yaml.safe_dump({"balance": [3, 1, 1], "depth": 2}))
    small.write_text(yaml.safe_dump({"batch_size": 1, "depth": 2, "width": 4, "threads": 1, "epochs": 1}))
    (folder / "model-in-use").mkdir()
    of_all = {
        "chips": [["--chips", one], ["--chips", other]],
        "settings": [["--chips", one, "--batch-size", size] for size in (1, 2)],
        "missing": [["--chips", one], ["--chips", folder / "none"]],
        "unreadable": [["--chips", chips_of_two_sizes(folder)]] * 2,
        "shares": [["--chips", one, "--config", shares]] * 2,
        "broken": [["--chips", chips_of_two_sizes_in_a_file(folder), "--config", small]] * 2,
        "in-use": [["--chips", one, "--config", small]] * 2,
    }
    cases = {
        name: [[*map(str, own), "--out", str(folder / f"model-{name}")] for own in ranks]
        for name, ranks in of_all.items()
    }
    (folder / "cases.json").write_text(json.dumps(cases))
    return [("refusals", folder / "cases.json", folder)]


@pytest.fixture(scope="module")
def refused(together):
    """Return what became of each training."""
    reports = [json.loads((together / f"rank-{rank}.json").read_text()) for rank in range(2)]
    return {name: Refused(*zip(*(report[name] for report in reports), strict=True)) for name in reports[0]}


def assert_told_once(refused, message):
    """Check that all ranks refused and one said why."""
    codes, said = refused
    assert codes == (2, 2)
    assert "".join(said).count(message) == 1, said
    assert "Traceback" not in "".join(said)


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
    assert_told_once(refused[case], message)
    assert not (folder / f"model-{case}").exists()


def test_the_rank_and_its_chips_are_named(refused, folder):
    assert str(folder / "chips1") in refused["chips"].said[0]
    assert "(rank 1)" in refused["missing"].said[0]


def test_a_chip_in_the_middle_of_a_file_is_found_before_the_training(refused, folder):
    assert_told_once(refused["broken"], "is not 16 x 16 pixels")
    assert not (folder / "model-broken").exists()


def test_a_folder_in_use_is_refused_by_all_ranks_with_one_message(refused, folder):
    assert_told_once(refused["in-use"], f"{folder / 'model-in-use'} is in use by train")
    assert not list((folder / "model-in-use").iterdir())
