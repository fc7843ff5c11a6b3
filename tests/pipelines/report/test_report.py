"""The report: one page, whole without a network, honest about what is not there."""

import csv
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from run_factory import CHIP, RunFactory, write_classes

import pipelines.report.page
from labeling.doubt import Doubt
from labeling.errors import ConfigError
from labeling.files.atomic import write_json
from labeling.files.layout import Run, read_done, record_failures, record_job
from pipelines.evaluate import EvaluateConfig, run
from pipelines.evaluation.record import ACCURACY, AGREEMENT, MEANINGS, read_evaluation
from pipelines.report.headline import area, count, percent
from pipelines.report.page import write_report
from pipelines.report.pictures import draw_differences, read_classes, reduced_shape
from pipelines.report.scenes import ReportScene, read_scenes, that_matter
from pipelines.report.tables import areas_of, flatten, read_history, total_areas, training_facts

SIDE = 2 * CHIP


class Page(HTMLParser):
    """Collects the text, the references and the attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.references, self.images, self.tags, self.words = [], [], [], []
        self.source = text
        self.feed(text)
        self.text = re.sub(r"[ \n]+", " ", " ".join(self.words))  # keeps the narrow spaces in numbers

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.references += [given[key] for key in ("src", "href", "srcset") if key in given]
        if tag == "img":
            self.images.append(given)

    def handle_data(self, data):
        self.words.append(data)


def page_of(folder, **options):
    write_report(folder, **options)
    return Page(folder.report.read_text(encoding="utf-8"))


@pytest.fixture
def factory(tmp_path):
    return RunFactory(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with all there can be: truth, sky, maps, a model, jobs and failures. Tests leave it as it is."""
    factory = RunFactory(tmp_path_factory.mktemp("whole"))
    rng = np.random.default_rng(7)
    for scene_id in ("ross-1", "ross-2", "ross-3"):
        truth, labels, model = rng.choice([0, 1, 2, 2, 255], (3, SIDE, SIDE)).astype(np.uint8)
        test = [(0, 0), (16, 16)] if scene_id != "ross-3" else []
        cloud = rng.random((SIDE, SIDE))
        done = None if scene_id == "ross-2" else model
        factory.add(scene_id, labels, done, truth=truth, cloud=cloud, shadow=cloud, test=test)
    folder = factory.write()
    write_json(
        folder.model / "model.json",
        {"seed": 4711, "world_size": 4, "best_epoch": 2, "chips_digest": "c" * 64},
    )
    (folder.model / "history.csv").write_text("epoch,loss,val_loss,mean_iou\n1,1.0,,0.5\n2,0.5,0.6,\n")
    record_job(folder, "label", 1.7e9, {"chips": {"size": CHIP}, "profile": "polynya"}, {"scenes_done": 3})
    run(EvaluateConfig(run=folder.root))
    record_failures(folder, "label", [{"scene": "/x/bad.tif", "step": "open", "reason": "it is empty"}])
    return folder


@pytest.fixture(scope="module")
def page(whole):
    """The page of that run."""
    return page_of(whole)


def test_the_page_needs_nothing_from_elsewhere(page):
    assert page.references
    assert all(reference.startswith(("data:image/", "#")) for reference in page.references)
    assert not re.search(r"url\(|@import|<script|<link", page.source)


def test_the_page_is_one_file_and_leaves_no_temporary_one(whole, page):
    assert [file.name for file in whole.report.parent.iterdir()] == ["index.html"]


def test_the_page_shows_the_numbers_of_the_evaluation(whole, page):
    text = page.text
    evaluation = read_evaluation(whole.evaluation)
    for methods in evaluation.accuracy_against_truth.values():
        for figures in methods.values():
            assert percent(figures.accuracy) in text
            assert count(figures.pixels) in text
    assert len(evaluation.accuracy_against_truth) == 3
    agreement = evaluation.agreement_with_automatic_labels
    assert percent(agreement.agreement) in text
    for row in agreement.matrix:
        assert all(count(pixels) in text for pixels in row)


def test_both_kinds_of_comparison_are_named_and_explained(page):
    assert ACCURACY in page.text
    assert AGREEMENT in page.text
    assert all(meaning in page.text for meaning in MEANINGS.values())


def test_the_page_tells_what_ran_and_what_failed(page):
    assert all(part in page.text for part in ("chips.size", "4711", "/x/bad.tif", "it is empty"))
    assert "no finished map" in page.text  # ross-2, from the evaluation
    assert "2 failures" in page.text


def test_every_picture_has_a_text(page):
    # Two charts; scene, labels, map, truth and difference twice; no map and no difference for ross-2.
    assert len(page.images) == 2 + 5 + 5 + 3
    assert all(image["alt"] for image in page.images)


def test_no_more_pictures_than_asked_for_and_test_scenes_first(whole):
    page = page_of(whole, pictures=1)
    assert len(page.images) == 2 + 5
    assert "1 of 3 scenes are shown" in page.text


def test_a_run_with_labels_alone_opens(factory):
    factory.add("a", np.full((SIDE, SIDE), 2, np.uint8), test=[(0, 0)])
    page = page_of(factory.write())
    assert "Nothing has been evaluated yet" in page.text
    assert "There is no model yet" in page.text
    assert "1 labelled, 0 mapped" in page.text
    assert len(page.images) == 2  # scene and labels


def test_doubts_are_told_by_scene(factory):
    factory.add("a", np.full((SIDE, SIDE), 2, np.uint8))
    factory.add("b", np.full((SIDE, SIDE), 2, np.uint8))  # its mark says nothing, as of an earlier version
    folder = factory.write()
    assert "labelled in doubt" not in page_of(folder).text
    mark = read_done(folder.labels("a"))
    write_json(
        folder.labels("a") / "done.json", mark | {"doubts": [{"code": "x", "text": "it <b>is</b> odd"}]}
    )
    page = page_of(folder)
    assert "1 scene labelled in doubt" in page.text
    assert "it <b>is</b> odd" in page.text


def test_an_empty_test_split_shows_its_reason(factory):
    factory.add("a", np.full((SIDE, SIDE), 2, np.uint8))
    folder = factory.write(note="All chips train.")
    run(EvaluateConfig(run=folder.root))
    text = page_of(folder).text
    assert "The test split holds no chips" in text
    assert "All chips train." in text


def test_without_truth_the_page_says_so(factory):
    classes = np.full((SIDE, SIDE), 2, np.uint8)
    factory.add("a", classes, classes, test=[(0, 0)])
    folder = factory.write(split_by="block", note="Split by blocks.")
    run(EvaluateConfig(run=folder.root))
    text = page_of(folder).text
    assert "no test scene has truth beside it" in text
    assert "Split by blocks." in text
    assert "not how it does on a new one" in text


def test_a_truth_without_a_class_does_not_break_the_page(factory):
    classes = np.full((SIDE, SIDE), 2, np.uint8)
    factory.add("a", classes, classes, truth=np.full_like(classes, 255), test=[(0, 0)])
    folder = factory.write()
    run(EvaluateConfig(run=folder.root))
    assert "not a number" not in page_of(folder).text.lower()


def test_a_scene_whose_file_has_gone_keeps_its_labels(factory):
    uri = factory.add("a", np.full((SIDE, SIDE), 2, np.uint8))
    uri.unlink()
    assert [image["alt"] for image in page_of(factory.write()).images] == [
        "automatic labels of a in the colours of the legend"
    ]


def test_names_with_markup_are_escaped(factory):
    classes = np.full((SIDE, SIDE), 2, np.uint8)
    name = "<b>x&y</b>'\"<script>alert(1)<"
    factory.add("plain", classes, classes, test=[(0, 0)])
    folder = factory.write(note="<i>note</i>")
    run(EvaluateConfig(run=folder.root))
    record_failures(folder, "label", [{"scene": name, "step": "open", "reason": "<s>r</s>"}])
    page = page_of(folder)
    assert not {"script", "b", "i", "u", "s"} & set(page.tags)
    assert name in page.text
    assert "<i>note</i>" in page.text


def test_no_run_folder_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match=r"catalog\.parquet is missing"):
        write_report(Run(tmp_path))


# --- tables ---


def test_areas_are_square_kilometres_or_pixels():
    pixels = {"water": 1, "thin_ice": 2, "thick_ice": 7, "ignore": 5}
    metric = areas_of(
        "a", "map", {"pixels": pixels, "areas_m2": {name: 100.0 * n for name, n in pixels.items()}}
    )
    assert metric.unit == "km²"
    assert metric.classes == pytest.approx((1e-4, 2e-4, 7e-4))
    assert metric.shares == pytest.approx((0.1, 0.2, 0.7))  # of what has a class
    plain = areas_of("a", "map", {"pixels": pixels, "areas_m2": None})
    assert (plain.unit, plain.classes, plain.ignored) == ("px", (1, 2, 7), 5)
    assert [row.unit for row in total_areas([metric, plain, metric])] == ["km²", "px"]
    assert total_areas([plain, plain])[0].classes == (2, 4, 14)


def test_scenes_that_were_mapped_but_not_labelled_are_shown(factory):
    classes = np.full((SIDE, SIDE), 2, np.uint8)
    factory.add("a", classes)
    folder = factory.write()
    factory.add("b", classes, classes)
    assert [scene.scene_id for scene in read_scenes(folder)] == ["a", "b"]


def test_history_with_gaps_and_missing_columns(tmp_path):
    file = tmp_path / "history.csv"
    file.write_text("epoch,loss,mean_iou\n1,0.5,\n2,nonsense,0.25\n,,\n")
    assert read_history(file) == [
        {"epoch": 1.0, "loss": 0.5, "mean_iou": None},
        {"epoch": 2.0, "loss": None, "mean_iou": 0.25},
    ]
    assert read_history(tmp_path / "none.csv") == []


def test_the_time_of_a_training_is_the_sum_of_its_epochs():
    history = [{"epoch": 1.0, "seconds": 10.0, "chips_per_second": 3.0}, {"epoch": 2.0, "seconds": None}]
    assert training_facts(history) == [("time of all epochs", "10 s"), ("chips per second (median)", "3.0")]
    assert training_facts([]) == []


def test_settings_are_flat_and_long_lists_short():
    rows = dict(flatten({"scenes": list("abcdef"), "chips": {"size": 256}, "master": None}))
    assert rows == {"scenes": "a, b, c, d, … (6 in all)", "chips.size": "256", "master": "\u2013"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\u2013"),
        (0.9, "90.0\u202f%"),
        (0.99987, "99.99\u202f%"),
        (1.0, "100.0\u202f%"),
        (0.0, "0.0\u202f%"),
    ],
)
def test_percent(value, text):
    assert percent(value) == text


def test_areas_are_written_in_groups_of_three():
    assert (area(12345.6), area(3.14159), area(0)) == ("12\u202f346", "3.14", "0")


# --- pictures ---


def test_large_rasters_are_read_reduced(tmp_path):
    classes = np.repeat(np.array([[0, 2]], np.uint8), 600, axis=1).repeat(300, axis=0)
    write_classes(tmp_path / "classes.tif", classes)
    reduced = read_classes(tmp_path / "classes.tif")
    assert reduced.shape == reduced_shape(height=300, width=1200) == (128, 512)
    assert set(np.unique(reduced)) == {0, 2}


def test_differences_are_drawn_where_both_have_a_class():
    drawn = draw_differences(np.array([[0, 1, 1]], np.uint8), np.array([[0, 2, 255]], np.uint8), "polynya")
    same, different, ignored = (tuple(pixel) for pixel in drawn[0])
    assert len({same, different, ignored}) == 3
    assert ignored == (110, 110, 110)


def test_the_page_may_load_and_run_nothing(factory):
    factory.add("a", np.zeros((SIDE, SIDE), np.uint8))
    page = page_of(factory.write())
    assert "Content-Security-Policy" in page.source
    assert "default-src 'none'; img-src data:" in page.source
    assert "script" not in page.tags


def test_very_many_failures_make_no_very_large_page(factory):
    factory.add("a", np.zeros((SIDE, SIDE), np.uint8))
    folder = factory.write()
    failures = [{"scene": f"s{n}", "step": "open", "reason": "is empty " * 40} for n in range(20_000)]
    record_failures(folder, "label", failures)
    page = page_of(folder)
    assert len(page.source) < 1_000_000
    assert f"the first 500 of {count(20_000)} failures; all are in failures.jsonl" in page.text


def test_damaged_records_are_left_out(factory):
    factory.add("a", np.zeros((SIDE, SIDE), np.uint8))
    folder = factory.write()
    record_failures(folder, "label", [{"scene": "b", "step": "open", "reason": "is empty"}])
    folder.failures.write_bytes(
        folder.failures.read_bytes() + b'\xff{"job": 1}\n[1]\nnull\n{"job": "label"\n'
    )
    (folder.labels("a") / "done.json").write_text('{"inputs": {}, "files": [], "pixels": {"water": "many"}}')
    page = page_of(folder)
    assert "is empty" in page.text
    assert "0 labelled" in page.text


def scene(scene_id, *, test=False, doubted=False):
    splits = ("test",) if test else ("train",)
    return ReportScene(scene_id, "", splits, True, True, [], [Doubt("code", "text")] * doubted)


def test_scenes_that_matter_are_test_scenes_in_doubt_or_least_agreeing():
    scenes = [scene("a"), scene("b", doubted=True), scene("c", test=True), scene("d", test=True)]
    scenes += [scene("e", test=True), scene("f", test=True, doubted=True)]
    agreement = {"c": 0.9, "d": 0.5, "e": 0.7, "f": 1.0}
    order = ["f", "d", "e", "c", "b", "a"]
    for most in range(7):
        assert {each.scene_id for each in that_matter(scenes, most, agreement)} == set(order[:most])
    assert [each.scene_id for each in that_matter(scenes, 4, agreement)] == ["c", "d", "e", "f"]


def test_of_many_scenes_the_page_shows_some_and_a_file_has_all(factory, monkeypatch):
    rng = np.random.default_rng(1)
    for number in range(9):
        labels = rng.choice([0, 1, 2], (SIDE, SIDE)).astype(np.uint8)
        mapped = np.where(rng.random((SIDE, SIDE)) < number / 10, 0, labels).astype(np.uint8)
        factory.add(f"scene-{number}", labels, mapped, test=[(0, 0)] if number < 8 else [])
    folder = factory.write()
    run(EvaluateConfig(run=folder.root))
    assert "scenes.csv" not in page_of(folder).text
    assert not folder.report_table.exists()
    monkeypatch.setattr(pipelines.report.page, "LINES", 3)
    page = page_of(folder, pictures=2)
    shown = {number for number in range(9) if f"scene-{number}" in page.text}
    evaluation = read_evaluation(folder.evaluation)
    by_agreement = sorted(evaluation.scenes, key=lambda each: each.agreement_with_automatic_labels.agreement)
    assert {f"scene-{number}" for number in shown} == {each.scene_id for each in by_agreement[:3]}
    assert "report/scenes.csv" in page.text
    with folder.report_table.open(newline="") as file:
        lines = {line["scene"]: line for line in csv.DictReader(file)}
    assert set(lines) == {f"scene-{number}" for number in range(9)}
    for each in evaluation.scenes:
        line = lines[each.scene_id]
        assert float(line["agreement"]) == each.agreement_with_automatic_labels.agreement
        done = read_done(folder.maps(each.scene_id))
        assert float(line["map_thick_ice"]) == pytest.approx(done["areas_m2"]["thick_ice"] / 1e6)
    assert lines["scene-8"]["agreement"] == ""
    monkeypatch.undo()
    write_report(folder)
    assert not folder.report_table.exists()  # a page of all needs none
