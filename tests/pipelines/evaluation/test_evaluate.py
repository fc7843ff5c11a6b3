"""Evaluation: numbers known by construction, on the test footprints and nowhere else."""

import json

import numpy as np
import pytest
from run_factory import CHIP, RunFactory, write_classes

import jobs.evaluate
import pipelines.many.mapped
from labeling.classes import IGNORE
from labeling.errors import ConfigError
from labeling.files.atomic import remove, write_json
from labeling.files.layout import read_failures
from pipelines.engine.outcome import ExitCode
from pipelines.evaluate import OTHER_CHIPS, OTHER_MODEL, EvaluateConfig, run
from pipelines.evaluation.record import MEANINGS, read_evaluation
from pipelines.evaluation.tally import (
    Tally,
    accuracy_of,
    add_up,
    agreement_of,
    count_accuracy,
    count_footprint,
)

SIDE = 2 * CHIP
HERE = (slice(0, CHIP), slice(0, CHIP))
"""The footprint at (0, 0)."""


def full(code):
    return np.full((SIDE, SIDE), code, np.uint8)


def changed(classes, *changes):
    """Return a copy with (rows, columns, code) painted into it."""
    classes = classes.copy()
    for rows, columns, code in changes:
        classes[rows, columns] = code
    return classes


def evaluated(folder):
    outcome = run(EvaluateConfig(run=folder.root))
    return read_evaluation(folder.evaluation), outcome


@pytest.fixture
def factory(tmp_path):
    return RunFactory(tmp_path)


# --- counting, without files ---


def test_all_methods_are_counted_on_the_same_pixels():
    truth = np.array([[0, 1, 2, 2, IGNORE]], np.uint8)
    model = np.array([[0, 1, 1, IGNORE, 2]], np.uint8)
    labels = np.array([[0, IGNORE, 2, 2, 2]], np.uint8)
    thresholds = np.array([[1, 1, 2, 2, 2]], np.uint8)
    counts = count_accuracy(truth, {"model": model, "labels": labels, "thresholds": thresholds}, None)
    # Only columns 0 and 2 are known to all four.
    assert counts["all", "model"].tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert counts["all", "labels"].tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert counts["all", "thresholds"].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_clear_and_covered_pixels_make_up_all():
    rng = np.random.default_rng(3)
    truth, model, labels, thresholds = rng.choice([0, 1, 2, IGNORE], (4, 30, 30)).astype(np.uint8)
    methods = {"model": model, "labels": labels, "thresholds": thresholds}
    counts = count_accuracy(truth, methods, rng.random((30, 30)) < 0.3)
    for method in methods:
        parts = counts["clear", method] + counts["covered", method]
        assert np.array_equal(parts, counts["all", method])
        assert counts["covered", method].sum() > 0


def test_agreement_does_not_need_the_truth():
    labels, model = np.array([[0, 2, IGNORE]], np.uint8), np.array([[0, 1, 1]], np.uint8)
    tally = count_footprint(labels, model)
    assert tally.accuracy == {}
    assert agreement_of(tally).agreement == 0.5
    assert agreement_of(tally).pixels == 2


def test_an_agreement_is_never_called_accuracy():
    tally = count_footprint(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))
    assert "accuracy" not in agreement_of(tally).model_dump()


def test_tallies_add_up_in_any_order():
    rng = np.random.default_rng(4)
    parts = [count_footprint(*rng.choice([0, 1, 2], (4, 8, 8)).astype(np.uint8)) for _ in range(4)]
    parts.append(Tally(1, np.eye(3, dtype=np.int64), {}))
    forward, backward = add_up(parts), add_up(parts[::-1])
    assert forward.footprints == 5
    assert agreement_of(forward) == agreement_of(backward)
    assert accuracy_of(forward) == accuracy_of(backward)


# --- a run folder ---


def test_figures_of_a_scene_known_by_construction(factory):
    truth = changed(full(2), (slice(0, 4), slice(0, 8), 0), (slice(4, 8), slice(0, 8), 1))
    model = changed(truth, (slice(0, 1), slice(0, 8), 1))  # 8 water pixels taken for thin ice
    labels = changed(truth, (slice(0, 4), slice(0, 8), 1))  # all 32 water pixels taken for thin ice
    thresholds = changed(truth, (slice(8, 16), slice(0, 16), 1))  # 128 thick pixels taken for thin ice
    cloud = np.zeros((SIDE, SIDE))
    cloud[8:16, 0:16] = 0.05
    factory.add(
        "a", labels, model, thresholds=thresholds, truth=truth, cloud=cloud, shadow=0 * cloud, test=[(0, 0)]
    )
    evaluation, outcome = evaluated(factory.write())
    assert outcome.exit_code == ExitCode.DONE
    assert (evaluation.footprints, evaluation.reason) == (1, "")
    methods = evaluation.accuracy_against_truth["all"]
    assert methods["model"].matrix == [[24, 8, 0], [0, 32, 0], [0, 0, 192]]
    assert methods["labels"].matrix == [[0, 32, 0], [0, 32, 0], [0, 0, 192]]
    assert methods["thresholds"].matrix == [[32, 0, 0], [0, 32, 0], [0, 128, 64]]
    assert methods["model"].accuracy == 248 / 256
    assert methods["model"].classes["water"].recall == 24 / 32
    assert methods["model"].mean_iou == pytest.approx((24 / 32 + 32 / 40 + 1) / 3)
    covered, clear = (evaluation.accuracy_against_truth[sky] for sky in ("covered", "clear"))
    assert covered["thresholds"].matrix == [[0, 0, 0], [0, 0, 0], [0, 128, 0]]
    assert clear["thresholds"].accuracy == 1.0
    assert (covered["model"].pixels, clear["model"].pixels) == (128, 128)
    # Where labels say thin ice the model says water 24 times.
    agreement = evaluation.agreement_with_automatic_labels
    assert agreement.matrix == [[0, 0, 0], [24, 40, 0], [0, 0, 192]]
    assert agreement.agreement == 232 / 256


def test_pixels_outside_test_footprints_have_no_influence(factory):
    wrong = full(1)
    right = changed(full(1), (*HERE, 2))
    cloud = np.ones((SIDE, SIDE))
    cloud[HERE] = 0
    factory.add(
        "a", right, right, thresholds=right, truth=changed(full(0), (*HERE, 2)), cloud=cloud, test=[(0, 0)]
    )
    factory.add("b", wrong, full(0), truth=full(2))  # no test chips at all
    evaluation, _ = evaluated(factory.write())
    assert evaluation.agreement_with_automatic_labels.pixels == CHIP**2
    assert {m: f.accuracy for m, f in evaluation.accuracy_against_truth["all"].items()} == dict.fromkeys(
        ("model", "labels", "thresholds"), 1.0
    )
    assert evaluation.accuracy_against_truth["covered"]["model"].pixels == 0
    assert [scene.scene_id for scene in evaluation.scenes] == ["a"]


def test_footprints_lie_where_their_row_and_column_say(factory):
    model = changed(full(2), (slice(16, 32), slice(0, 16), 1))  # the lower left chip only
    factory.add("a", full(2), model, test=[(16, 0), (0, 16)])
    evaluation, _ = evaluated(factory.write())
    assert evaluation.footprints == 2
    assert evaluation.agreement_with_automatic_labels.agreement == 0.5


def test_ignored_pixels_are_in_no_figure(factory):
    nodata = (slice(0, 16), slice(0, 4), IGNORE)
    truth = changed(full(2), (slice(0, 2), slice(0, 16), IGNORE))
    model = changed(full(2), (slice(2, 4), slice(0, 16), IGNORE))
    # Where the scene is no-data the thresholds are ignored, too.
    factory.add("a", full(2), model, thresholds=changed(full(2), nodata), truth=truth, test=[(0, 0)])
    evaluation, _ = evaluated(factory.write())
    pixels = {method: figures.pixels for method, figures in evaluation.accuracy_against_truth["all"].items()}
    assert pixels == dict.fromkeys(("model", "labels", "thresholds"), 12 * 12)
    assert evaluation.agreement_with_automatic_labels.pixels == 14 * 16


def test_scenes_without_truth_are_in_the_agreement_only(factory):
    factory.add("a", full(2), full(2), truth=full(2), test=[(0, 0)])
    factory.add("b", full(2), full(1), test=[(0, 0)])
    evaluation, _ = evaluated(factory.write())
    assert evaluation.agreement_with_automatic_labels.agreement == 0.5
    assert evaluation.accuracy_against_truth["all"]["model"].pixels == CHIP**2
    assert "clear" not in evaluation.accuracy_against_truth
    assert evaluation.scenes[1].accuracy_against_truth == {}


def test_a_missing_map_is_a_failure_and_the_rest_is_evaluated(factory):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    factory.add("b", full(2), None, test=[(0, 0)])
    folder = factory.write()
    evaluation, outcome = evaluated(folder)
    assert outcome.exit_code == ExitCode.SOME_FAILED
    assert (outcome.done, [failure.scene for failure in outcome.failures]) == (1, ["b"])
    assert "jobs.infer" in outcome.failures[0].reason
    assert [line["scene"] for line in read_failures(folder)] == ["b"]
    assert evaluation.test_scenes == ["a", "b"]
    assert [scene.scene_id for scene in evaluation.scenes] == ["a"]


def test_a_map_of_another_state_of_the_scene_is_a_failure(factory):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    folder = factory.write()
    mark = folder.maps("a") / "done.json"
    content = json.loads(mark.read_text())
    content["inputs"]["modified_ns"] += 1
    mark.write_text(json.dumps(content))
    evaluation, outcome = evaluated(folder)
    assert "changed" in outcome.failures[0].reason
    assert evaluation.reason == "No test scene could be compared; the failures say why."
    assert evaluation.agreement_with_automatic_labels is None


def test_a_truth_of_another_size_is_a_failure(factory):
    factory.add("a", full(2), full(2), truth=full(2)[:-1], test=[(0, 0)])
    _, outcome = evaluated(factory.write())
    assert "31 rows x 32 columns" in outcome.failures[0].reason


def test_a_block_split_says_what_its_figures_mean(factory):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    note = "split by blocks inside each scene: not a new scene"
    evaluation, _ = evaluated(factory.write(split_by="block", gap=CHIP, note=note))
    assert evaluation.split_by == "block"
    assert note in evaluation.notes


def test_both_kinds_of_comparison_are_explained_in_the_file(factory):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    folder = factory.write()
    evaluated(folder)
    content = json.loads(folder.evaluation.read_text())
    assert content["meanings"] == MEANINGS
    assert "agreement" in content["agreement_with_automatic_labels"]
    assert content["chips_digest"] == "c" * 64


def test_an_empty_test_split_is_no_error(factory):
    factory.add("a", full(2))
    evaluation, outcome = evaluated(factory.write(note="Too small to keep splits apart."))
    assert outcome.exit_code == ExitCode.DONE
    assert "test split holds no chips" in evaluation.reason
    assert evaluation.notes == ["Too small to keep splits apart."]
    assert evaluation.agreement_with_automatic_labels is None


@pytest.mark.parametrize(("digest", "notes"), [("c" * 64, []), ("d" * 64, [OTHER_CHIPS])])
def test_a_model_of_other_chips_is_noted(factory, digest, notes):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    folder = factory.write()
    write_json(folder.model / "model.json", {"chips_digest": digest})
    assert evaluated(folder)[0].notes == notes


def test_maps_of_another_model_are_noted(factory):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    folder = factory.write()
    folder.model.mkdir()
    (folder.model / "model.keras").write_bytes(b"newer")
    assert evaluated(folder)[0].notes == [OTHER_MODEL]


def test_errors_name_the_way_out(factory):
    with pytest.raises(ConfigError, match=r"catalog\.parquet is missing.*jobs\.label"):
        run(EvaluateConfig(run=factory.run.root))
    factory.add("a", full(2), None, test=[(0, 0)])
    folder = factory.write()
    with pytest.raises(ConfigError, match=r"no finished maps.*jobs\.infer"):
        run(EvaluateConfig(run=folder.root))
    remove(folder.chips)
    with pytest.raises(ConfigError, match=r"no chips.*jobs\.label"):
        run(EvaluateConfig(run=folder.root))


def test_old_figures_do_not_outlive_what_they_were_made_from(factory):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    folder = factory.write()
    evaluated(folder)
    remove(folder.root / "maps")
    with pytest.raises(ConfigError):
        run(EvaluateConfig(run=folder.root))
    assert not folder.evaluation.exists()


def test_the_job_writes_figures_record_and_report(factory, capsys):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    folder = factory.write()
    outcome = jobs.evaluate.main(["--run", str(folder.root)])
    assert outcome.exit_code == ExitCode.DONE
    assert folder.evaluation.is_file()
    assert folder.job("evaluate").is_file()
    assert str(folder.report) in capsys.readouterr().out


def test_the_job_reports_even_when_there_is_nothing_to_evaluate(factory):
    factory.add("a", full(2), None, test=[(0, 0)])
    folder = factory.write()
    with pytest.raises(ConfigError):
        jobs.evaluate.main(["--run", str(folder.root)])
    assert folder.report.is_file()


def test_test_ground_that_lies_outside_its_scene_is_refused(factory):
    factory.add("a", full(2), full(2), test=[(CHIP, CHIP), (CHIP + 1, 0)])
    with pytest.raises(ConfigError, match="lies outside the scene"):
        evaluated(factory.write())


def test_test_ground_that_trains_too_is_refused(factory):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    folder = factory.write(counts={"train": 1, "val": 0, "test": 1})
    twin = folder.chips / "split=train/a.parquet"
    twin.parent.mkdir()
    twin.write_bytes((folder.chips / "split=test/a.parquet").read_bytes())
    with pytest.raises(ConfigError, match="show ground that"):
        evaluated(folder)


@pytest.mark.parametrize(("place", "name"), [("labels", "labels.tif"), ("maps", "classes.tif")])
def test_a_raster_that_was_replaced_is_a_failure(factory, place, name):
    factory.add("a", full(2), full(1), test=[(0, 0)])
    folder = factory.write()
    write_classes(folder.root / place / "a" / name, full(0))
    _, outcome = evaluated(folder)
    assert "is not the file that was finished there" in outcome.failures[0].reason


def test_codes_that_are_no_classes_are_a_failure(factory):
    factory.add("a", full(2), full(7), test=[(0, 0)])
    _, outcome = evaluated(factory.write())
    assert "holds uint8 values such as 7" in outcome.failures[0].reason


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 16])
def test_figures_by_spark_are_those_of_one_process(factory, monkeypatch, at_once):
    rng = np.random.default_rng(5)
    for number in range(7):
        truth, labels, model = rng.choice([0, 1, 2, 2, IGNORE], (3, SIDE, SIDE)).astype(np.uint8)
        sky = {"truth": truth, "cloud": rng.random((SIDE, SIDE))} if number % 2 else {}
        mapped = None if number == 3 else model
        factory.add(f"s{number}", labels, mapped, **sky, test=[(0, 0), (CHIP, 0)][: 1 + number % 2])
    folder = factory.write()
    failures = run(EvaluateConfig(run=folder.root)).failures
    plainly = folder.evaluation.read_bytes()
    monkeypatch.setattr(pipelines.many.mapped, "FEW", 1)
    monkeypatch.setattr(pipelines.many.mapped, "_AT_ONCE", at_once)
    outcome = run(EvaluateConfig(run=folder.root, spark={"master": "local[2]"}))
    assert folder.evaluation.read_bytes() == plainly
    assert outcome.failures == failures
    assert [failure.scene for failure in failures] == ["s3"]


@pytest.mark.slow
def test_by_spark_what_is_no_file_of_chips_is_refused_in_the_same_words(factory, monkeypatch):
    factory.add("a", full(2), full(2), test=[(0, 0)])
    factory.add("b", full(2), full(2), test=[(0, 0)])
    folder = factory.write()
    (folder.chips / "split=test/b.parquet").write_bytes(b"none")
    with pytest.raises(ConfigError) as plainly:
        evaluated(folder)
    monkeypatch.setattr(pipelines.many.mapped, "FEW", 1)
    with pytest.raises(ConfigError) as by_spark:
        run(EvaluateConfig(run=folder.root, spark={"master": "local[2]"}))
    assert str(by_spark.value) == str(plainly.value)
