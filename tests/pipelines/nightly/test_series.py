"""The series: each scene once, whatever a night finds, and both files always whole."""

import datetime as dt
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.errors import ConfigError
from pipelines.nightly.series import FIGURES, SCHEMA, Found, Night, Row, merge, out_of_reach
from pipelines.nightly.series_file import read_series, table_of, write_series
from pipelines.nightly.site import Site

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
NOTHING = dict.fromkeys(FIGURES.names) | {"doubts": ""}


def night(number):
    return Night(number, DAY + dt.timedelta(days=number))


def found(scene, identity="1", place=None, **figures):
    return Found(scene, place or f"/in/{scene}.tif", identity, NOTHING | figures)


def after(*nights):
    """Return the series after nights of (found, failures)."""
    rows, changes = [], None
    for number, (scenes, failures) in enumerate(nights, 1):
        rows, changes = merge(rows, scenes, failures, night(number))
    return {row.place: row for row in rows}, changes


def test_a_quiet_night_changes_nothing():
    once, _ = after(([found("a"), found("b")], {}))
    again, changes = after(([found("a"), found("b")], {}), ([found("b"), found("a")], {}))
    assert again == once
    assert changes == ([], [], [], [])


def test_a_replaced_scene_has_one_line_with_the_new_figures():
    rows, changes = after(([found("a", cloud_pixels=3)], {}), ([found("a", "2", cloud_pixels=4)], {}))
    row = rows["/in/a.tif"]
    assert (row.states, row.first_night, row.night, row.figures["cloud_pixels"]) == (2, 1, 2, 4)
    assert changes.replaced == ["a"]


def test_a_scene_that_vanishes_stays_and_comes_back():
    gone, changes = after(([found("a", cloud_pixels=3)], {}), ([], {}))
    assert (gone["/in/a.tif"].state, gone["/in/a.tif"].figures["cloud_pixels"]) == ("vanished", 3)
    assert changes.vanished == ["a"]
    _, later = after(([found("a")], {}), ([], {}), ([], {}))
    assert later.vanished == []
    back, changes = after(([found("a")], {}), ([], {}), ([found("a")], {}))
    assert (back["/in/a.tif"].state, back["/in/a.tif"].states) == ("good", 1)
    assert changes.returned == ["a"]


def test_a_scene_that_moves_keeps_its_line_and_another_of_its_name_gets_one():
    moved, _ = after(([found("a")], {}), ([found("a", place="/old/a.tif")], {}))
    assert list(moved) == ["/old/a.tif"]
    other, _ = after(([found("a")], {}), ([found("a", "2", place="/old/a.tif")], {}))
    assert {place: row.state for place, row in other.items()} == {
        "/in/a.tif": "vanished", "/old/a.tif": "good",
    }  # fmt: skip


@pytest.mark.parametrize("failed", ["a", "/in/a.tif", "/in", "/in/"])
def test_a_scene_that_fails_keeps_its_figures_and_says_why(failed):
    rows, changes = after(([found("a", cloud_pixels=3)], {}), ([], {failed: "too dark"}))
    row = rows["/in/a.tif"]
    assert (row.state, row.reason, row.figures["cloud_pixels"]) == ("failed", "too dark", 3)
    assert changes.vanished == []


def test_an_item_fails_with_its_list_and_not_with_its_neighbour():
    place = "/in/items.json#a"
    rows, _ = after(([found("a", place=place)], {}), ([], {"/in/items.json": "no JSON"}))
    assert rows[place].state == "failed"
    rows, _ = after(([found("a", place=place)], {}), ([], {"/in/items": "no"}))
    assert rows[place].state == "vanished"


class Compared(str):
    """A name that counts how often names are compared."""

    times = 0
    __hash__ = str.__hash__

    def __eq__(self, other):
        Compared.times += 1
        return str.__eq__(self, other)


def test_scenes_are_looked_up_and_not_looked_for():
    many = 300
    names = [Compared(f"s{number}") for number in range(many)]
    rows, _ = merge([], [found(name, place=f"/old/{name}.tif") for name in names], {}, night(1))
    Compared.times = 0
    moved, _ = merge(rows, [found(name) for name in names], {}, night(2))
    assert {row.place for row in moved} == {f"/in/{name}.tif" for name in names}
    failures = {f"/elsewhere/{number}.tif": "damaged" for number in range(many)}
    gone, _ = merge(rows, [], failures, night(3))
    assert {row.state for row in gone} == {"vanished"}
    assert Compared.times < 40 * many  # sorting takes some


STATES = st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from("123"), max_size=4), max_size=6)


@given(STATES)
def test_whatever_comes_and_goes_each_scene_ever_seen_is_there_once(nights):
    """Against a plain account of what every scene went through."""
    rows, _ = after(*(([found(name, state) for name, state in each.items()], {}) for each in nights))
    seen = {}
    for each in nights:
        for name, state in each.items():
            seen.setdefault(name, []).append(state)
    assert {row.scene for row in rows.values()} == seen.keys()
    for row in rows.values():
        states = seen[row.scene]
        assert row.identity == states[-1]
        assert row.states == 1 + sum(one != other for one, other in pairwise(states))
        assert row.state == ("good" if row.scene in nights[-1] else "vanished")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.none()
TIMES = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1)).map(
    lambda time: time.replace(microsecond=0, tzinfo=dt.UTC)
)


def value_of(field):
    if pa.types.is_string(field.type):
        return TEXTS | st.none()
    if pa.types.is_timestamp(field.type):
        return TIMES | st.none()
    return NUMBERS if pa.types.is_floating(field.type) else st.integers(0, 2**62) | st.none()


ROWS = st.builds(
    Row, TEXTS, TEXTS, TEXTS, st.sampled_from(["good", "failed", "vanished"]), TEXTS, st.integers(1, 9),
    st.integers(1, 9), st.integers(1, 9), TIMES,
    st.fixed_dictionaries({field.name: value_of(field) for field in FIGURES}),
)  # fmt: skip


@given(rows=st.lists(ROWS, max_size=3, unique_by=lambda row: (row.scene, row.place)))
def test_either_file_alone_gives_the_series_back(rows, tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    write_series(site, rows)
    assert read_series(site) == (rows, "")
    site.series.write_bytes(site.series.read_bytes()[:-9])
    read, told = read_series(site)
    assert read == rows
    assert str(site.series) in told
    write_series(site, read)
    site.csv.unlink()
    assert read_series(site) == (rows, "")


def test_a_series_of_another_version_is_refused_and_stays(tmp_path):
    site = Site(tmp_path)
    rows, _ = merge([], [found("a")], {}, night(1))
    write_series(site, rows)
    other = table_of(rows).set_column(0, SCHEMA.field(0), pa.array(["polynya-series-9"]))
    pq.write_table(other, site.series)
    site.csv.write_text(site.csv.read_text().replace("series-1", "series-9"))
    before = site.series.read_bytes()
    with pytest.raises(ConfigError, match=r"series\.parquet is no series that this version reads.*another v"):
        read_series(site)
    assert site.series.read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"PAR1", b'"format","scene"\n"x"', b"\xff\xfe", b"a,b\n1,2\n"])
def test_without_a_whole_file_the_series_is_refused_with_both_named(tmp_path, damage):
    site = Site(tmp_path)
    site.series.write_bytes(damage)
    site.csv.write_bytes(damage)
    with pytest.raises(ConfigError, match=r"(?s)series\.parquet.*series\.csv.*move both away"):
        read_series(site)


def test_a_scene_that_is_there_twice_is_no_series(tmp_path):
    site = Site(tmp_path)
    rows, _ = merge([], [found("a")], {}, night(1))
    pq.write_table(table_of(rows + rows), site.series)
    with pytest.raises(ConfigError, match="a scene twice"):
        read_series(site)


def test_scenes_are_out_of_reach_with_their_folder_or_list_and_not_by_themselves():
    places = {"a": "/in/a.tif", "b": "/in/b.tif", "c": "/in/items.json#c", "d": "/in/items.json#d"}
    scenes = [found(name, place=place) for name, place in places.items()]

    def away(failures):
        rows, _ = after((scenes, {}), ([], failures))
        return out_of_reach(list(rows.values()), failures, 2)

    assert away({"/in/a.tif": "damaged", "b": "too dark", "/in/items.json": "it cannot be read"}) == [
        "c",
        "d",
    ]
    assert sorted(away({"/in/": "it holds no scene"})) == ["a", "b", "c", "d"]
    assert away({"/in/items.json#c": "no red", "/in/items.json#d": "no red"}) == []


def test_what_is_out_of_reach_for_a_week_is_not_waited_for():
    empty = {"/in": "it holds no scene"}
    nights = [([found("a")], {}), *[([], empty)] * 8]
    for number in range(2, 10):
        rows, _ = after(*nights[:number])
        assert out_of_reach(list(rows.values()), empty, number) == (["a"] if number < 9 else [])
