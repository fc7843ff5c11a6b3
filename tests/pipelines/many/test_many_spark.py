"""Very many things asked by Spark: the same answers in the same order as one after the other."""

import os

import pytest
from conftest import patchwork, planar
from pictures import write_png, write_tif

from labeling.errors import ConfigError
from labeling.masks.limits import LimitSettings
from pipelines.engine.session import lazy_session
from pipelines.engine.settings import SparkSettings
from pipelines.many import batches, mapped, opening
from pipelines.many.mapped import mapped as by_spark
from pipelines.many.opening import describe_all

pytestmark = pytest.mark.slow

LIMITS = LimitSettings()


def doubling():
    def double(value):  # here, so that it crosses by value: workers do not know this module
        return {"twice": 2 * value}

    return double


def dying(*bad):
    def work(value):
        if value in bad:
            os._exit(1)
        return value

    return work


def unknown(value, found):
    return f"{value} lost{found}"


@pytest.fixture(params=["local[1]", "local[2]"])
def spark(request):
    with lazy_session("test", SparkSettings(master=request.param)) as session:
        yield session


@pytest.mark.parametrize(("batch", "at_once"), [(4096, 16), (7, 3), (1, 1)])
def test_answers_come_in_order_however_work_is_shared_out(spark, monkeypatch, batch, at_once):
    monkeypatch.setattr(mapped, "batch_size", lambda _: batch)
    monkeypatch.setattr(mapped, "_AT_ONCE", at_once)
    monkeypatch.setattr(mapped, "FEW", 1)
    values = list(range(20, 0, -1))
    assert by_spark(spark, values, doubling(), unknown) == [{"twice": 2 * value} for value in values]


def test_only_what_ends_its_worker_is_lost(spark, monkeypatch):
    monkeypatch.setattr(mapped, "FEW", 1)
    found = by_spark(spark, list(range(12)), dying(3, 9), unknown)
    assert [value for value in found if isinstance(value, int)] == [0, 1, 2, 4, 5, 6, 7, 8, 10, 11]
    assert found[3].startswith("3 lost (")
    assert found[9].startswith("9 lost (")


@pytest.fixture
def scenes(tmp_path):
    """Scenes of several kinds, some of which cannot be used, also by their names."""
    found = []
    for number in range(9):
        picture = planar(patchwork(40, 50, seed=number))
        found.append(
            write_tif(tmp_path / f"s{number}.tif", picture, tiled=True, blockxsize=16, blockysize=16)
        )
        found.append(write_png(tmp_path / f"p{number}.png", patchwork(30, 31, seed=number)))
    (tmp_path / "empty.tif").touch()
    (tmp_path / "cut.tif").write_bytes(found[0].read_bytes()[:300])
    found += [tmp_path / name for name in ("empty.tif", "cut.tif", "missing.tif", "ü.png")]
    uris = [str(path) for path in found]
    return [*uris, os.fsdecode(os.fsencode(tmp_path) + b"/sc\xe8ne.png"), "ftp://nowhere/x.tif"]


@pytest.mark.parametrize("batch", [4096, 5])
def test_scenes_are_described_as_by_the_driver(spark, scenes, monkeypatch, batch):
    plainly = describe_all(scenes, LIMITS)
    assert len({type(each) for each in plainly}) == 2
    monkeypatch.setattr(mapped, "FEW", 1)
    monkeypatch.setattr(mapped, "batch_size", lambda _: batch)
    opened = []
    monkeypatch.setattr(opening, "describe_scene", lambda uri, limits: opened.append(uri) or plainly[-2])
    assert describe_all(scenes, LIMITS, spark) == plainly
    assert len(opened) == 1  # whose name is no text


def test_few_scenes_start_no_spark(scenes):
    def none():
        raise ConfigError("Spark was asked for")

    few = scenes[: batches.FEW - 1]
    assert describe_all(few, LIMITS, none) == describe_all(few, LIMITS)
