"""Nights of real jobs whose scenes lie in a bucket, or whose site lies on a disk that fills up."""

import csv

import pytest
from s3_server import S3Server
from sites import Archive, assert_nothing_half_written, assert_true

from jobs import nightly
from jobs.command import main_of

pytestmark = pytest.mark.slow


def assert_counted(archive, series):
    """Check the product of all scenes against their lines in the series."""
    with (archive.out / "run/products/statistics/scenes.csv").open() as file:
        counted = {line["scene_id"]: int(line["water_pixels"]) for line in csv.DictReader(file)}
    assert counted == {name: line["map_water_pixels"] for name, line in series.items()}


def test_scenes_in_a_bucket_new_and_replaced_with_products_of_all(tmp_path, monkeypatch):
    with S3Server(tmp_path / "buckets") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        bucket = server.make_bucket("incoming")
        archive = Archive(tmp_path, scenes=bucket, address="s3://incoming/")
        archive.configure(products={"products": ["statistics"], "statistics": {"cell_km": None}})
        archive.scene("a", 1)
        archive.scene("b", 2)
        code, said = archive.night()
        assert code == 0, said
        first = assert_true(archive)
        assert {name: line["place"] for name, line in first.items()} == {
            "a": "s3://incoming/a.tif", "b": "s3://incoming/b.tif",
        }  # fmt: skip
        assert_counted(archive, first)

        archive.scene("b", 7)
        archive.scene("c", 3)
        code, said = archive.night()
        assert code == 0, said
        series = assert_true(archive)
        status = archive.status()
        assert (status["new"], status["replaced"], status["vanished"]) == (["c"], ["b"], [])
        assert series["a"] == first["a"]
        assert series["b"]["identity"] != first["b"]["identity"]
        assert series["b"]["states"] == 2
        assert_counted(archive, series)
        assert_nothing_half_written(archive)


def test_a_disk_that_fills_up_in_a_step_loses_nothing_and_the_next_night_repairs_it(disk, tmp_path, capsys):
    archive = Archive(tmp_path, out=disk.root / "site")
    archive.configure(pictures=0)

    def night():
        code = main_of(lambda: nightly.main(["--config", str(archive.file)]), "nightly")
        assert code == 0, capsys.readouterr()
        assert archive.status()["problems"] == {}
        return assert_true(archive)

    archive.scene("a", 1)
    lines = night()
    for seed, (step, name) in enumerate((("label", "b"), ("map", "c"), ("series", "d"))):
        archive.scene(name, seed)
        code, said = archive.full_night(step, disk.root / "filler")
        assert code in (1, 3), said
        assert f"the disk is full: {archive.out}/" in said
        assert lines.items() <= archive.series().items()
        (disk.root / "filler").unlink()
        lines = night()
        assert name in lines
        assert_nothing_half_written(archive)
