import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labeling.chips.kinds import CLOUDY, PURE, UNKNOWN, ChipKind, chip_kinds
from labeling.classes import IGNORE, IceClass

NAN = float("nan")
COUNTS = hnp.arrays(np.int64, st.tuples(st.integers(0, 30), st.just(5)), elements=st.integers(0, 20))
"""Pixels of each chip: of the three classes, ignored ones under cloud, other ignored ones."""


def plain(fractions, ignored, cloud):
    """Return the kind of one chip, spelled out."""
    if cloud >= CLOUDY:
        return ChipKind.CLOUD
    if ignored >= UNKNOWN:
        return IGNORE
    for ice in IceClass:
        if fractions[ice] >= PURE:
            return int(ice)
    return ChipKind.MIXED


@given(COUNTS, st.booleans())
def test_every_chip_has_the_kind_that_its_pixels_give_it(counts, looked):
    pixels = np.maximum(counts.sum(axis=1), 1)
    labelled = np.maximum(counts[:, :3].sum(axis=1), 1)
    fractions = (counts[:, :3] / labelled[:, None]).astype(np.float32)
    ignored = (counts[:, 3:].sum(axis=1) / pixels).astype(np.float32)
    cloud = (counts[:, 3] / pixels if looked else np.full(len(counts), NAN)).astype(np.float32)
    found = chip_kinds(fractions, ignored, cloud)
    assert found.dtype == np.uint8
    columns = zip(fractions, ignored, cloud, strict=True)
    assert found.tolist() == [plain(*chip) for chip in columns]
    if not looked:
        assert ChipKind.CLOUD not in found


@pytest.mark.parametrize(
    ("fractions", "ignored", "cloud", "kind"),
    [
        ((1.0, 0.0, 0.0), 0.0, 0.0, ChipKind.WATER),
        ((0.05, 0.9, 0.05), 0.0, NAN, ChipKind.THIN_ICE),
        ((0.0, 0.05, 0.95), 0.49, NAN, ChipKind.THICK_ICE),
        ((0.11, 0.0, 0.89), 0.0, 0.49, ChipKind.MIXED),
        ((1.0, 0.0, 0.0), 0.5, 0.5, ChipKind.CLOUD),
        ((0.0, 0.0, 0.0), 1.0, 1.0, ChipKind.CLOUD),
        ((1.0, 0.0, 0.0), 0.5, 0.49, IGNORE),
        ((0.0, 0.0, 0.0), 1.0, NAN, IGNORE),
    ],
)
def test_where_the_kinds_begin(fractions, ignored, cloud, kind):
    columns = [np.array([value], np.float32) for value in (fractions, ignored, cloud)]
    assert chip_kinds(*columns).tolist() == [kind]


def test_kinds_have_the_names_of_classes_where_they_are_one():
    assert [kind.title for kind in ChipKind] == ["open water", "thin ice", "thick ice", "mixed", "cloud"]
    assert all(ChipKind[ice.name] == ice for ice in IceClass)


def test_columns_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        chip_kinds(np.zeros((3, 2)), np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError, match=r"\(2,\)"):
        chip_kinds(np.zeros((3, 3)), np.zeros(3), np.zeros(2))
