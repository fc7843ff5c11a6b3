"""The table of families left out: which limit is chosen, what stands in it, and the map that it judges."""

import numpy as np
import pytest

from benchmarks.left_out.families import family_scenes
from benchmarks.left_out.guard import judge, learn
from benchmarks.left_out.networks import (
    ALL,
    LIMITS,
    SKIES,
    Answer,
    Opinions,
    chosen_limit,
    count,
    gain,
    main,
    table_of,
    table_of_answers,
)

METHODS = ("thresholds", "published filter", "labels", "network")


def found(best=None, rule=80):
    """Return counts in which every method has `rule` of 100 pixels of a class right, one limit 95."""
    right = dict.fromkeys(METHODS, rule) | {str(limit): 90 - 20 * (limit != best) for limit in LIMITS}
    every = np.eye(3, dtype=np.int64)
    return {
        (sky, name): every * n + np.roll(every, 1, axis=1) * (100 - n)
        for sky in SKIES
        for name, n in right.items()
    }


def test_a_family_does_not_choose_its_own_limit():
    counts = {"a": found(0.05), "b": found(0.2), "c": found(0.2)}
    assert chosen_limit(counts, "a") == 0.2
    assert chosen_limit({name: counts[name] for name in "ab"}, "b") == 0.05


def test_gains_are_over_the_better_of_the_two_rules():
    counts = found(0.1) | {("thin", "published filter"): np.eye(3, dtype=np.int64)}
    assert gain(counts, "clear", "0.1") == pytest.approx(90 / 110 - 80 / 120)
    assert gain(counts, "thin", "0.1") == pytest.approx(90 / 110 - 1)


def test_the_table_has_every_family_and_sky_and_their_mean():
    table = table_of({"a": found(0.1), "b": found(0.1), ALL: found(0.1, rule=90)})
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == ["a"] * 3 + ["b"] * 3 + [ALL] * 3 + ["mean of families"] * 3
    assert columns[1] == list(SKIES) * 4
    assert columns[-2][0] == columns[-2][-1] == f"{90 / 110 - 80 / 120:+.3f}", (
        "the other renderer does not count"
    )
    assert columns[-1][0] == "10%"


def test_how_often_the_check_is_wrong_either_way():
    answers = [Answer("thin", True, 0.2), Answer("thin", True, -0.2), Answer("thin", False, 0.2)]
    rows = [
        list(column.cells) for column in table_of_answers([*answers, Answer("clear", False, -0.2)]).columns
    ]
    assert [cells[1] for cells in rows] == ["thin", "3", "2", "1", "1", "1"]
    assert [cells[0] for cells in rows] == ["clear", "1", "0", "0", "1", "0"]


def test_a_network_that_knows_nothing_leaves_the_labels():
    scenes = [judge(scene) for scene in family_scenes(side=256, surfaces=1, seed=3, maps=None)]
    weights = learn(scenes)
    water = np.zeros((256, 256, 3), np.float32) + np.float32([0.98, 0.01, 0.01])
    counts, answers = count([Opinions(scene, water) for scene in scenes], weights)
    assert {answer.sky for answer in answers} == {"thin", "heavier"}, "a clear scene is not asked about"
    assert all(answer.used and answer.gain < 0 for answer in answers if answer.sky == "heavier")
    assert counts["clear", "network"][:, 1:].sum() == 0
    np.testing.assert_array_equal(counts["clear", str(LIMITS[0])], counts["clear", "labels"])
    # Where soft edges are all over, nothing is left to hold it against.
    assert (counts["heavier", str(LIMITS[0])] != counts["heavier", "labels"]).any()


def test_its_small_form_trains_without_a_family_and_judges_it(tmp_path, capsys):
    small = ("--side", "512", "--scenes", "1", "--surfaces", "1", "--epochs", "1")
    main(["--out", str(tmp_path), "--families", "plates", *small])
    model = tmp_path / "without-plates/model"
    assert (model / "model.json").exists()
    labelled = {path.name.rsplit("-", 1)[0] for path in (tmp_path / "without-plates/labels").iterdir()}
    assert labelled == {"floes", "pancakes", "smooth"}
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| plates")]
    assert [row[2].strip() for row in rows] == list(SKIES)
    reached = np.array([[float(cell) for cell in row[3:8]] for row in rows])
    assert ((reached > 0) & (reached <= 1)).all()
    trained = (model / "model.json").stat().st_mtime_ns
    main(["--out", str(tmp_path), "--families", "plates", *small])
    assert (model / "model.json").stat().st_mtime_ns == trained, "what is there is not done again"
