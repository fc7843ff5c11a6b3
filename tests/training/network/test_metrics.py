import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labeling.classes import IGNORE, IceClass
from training.network.metrics import confusion_matrix, empty_matrix, scores

CODES = st.sampled_from([0, 1, 2, IGNORE])
PAIRS = hnp.arrays(np.uint8, st.tuples(st.just(2), st.integers(0, 60)), elements=CODES)


@given(PAIRS)
def test_matrix_counts_every_labelled_pair_once(pair):
    reference, predicted = pair
    expected = empty_matrix()
    for row, column in zip(reference, predicted, strict=True):
        if IGNORE not in (row, column):
            expected[row, column] += 1
    found = confusion_matrix(reference, predicted)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


@given(PAIRS, st.integers(0, 60))
def test_matrices_of_parts_add_up_to_the_whole(pair, cut):
    reference, predicted = pair
    parts = [confusion_matrix(reference[part], predicted[part]) for part in (slice(cut), slice(cut, None))]
    np.testing.assert_array_equal(sum(parts), confusion_matrix(reference, predicted))


def test_scores_of_a_matrix_worked_out_by_hand():
    found = scores(np.array([[6, 2, 0], [1, 3, 0], [1, 0, 7]]))
    assert found.accuracy == pytest.approx(16 / 20)
    assert found.precision == pytest.approx((6 / 8, 3 / 5, 1))
    assert found.recall == pytest.approx((6 / 8, 3 / 4, 7 / 8))
    assert found.f1 == pytest.approx((12 / 16, 6 / 9, 14 / 15))
    assert found.iou == pytest.approx((6 / 10, 3 / 6, 7 / 8))
    assert found.mean_iou == pytest.approx((6 / 10 + 3 / 6 + 7 / 8) / 3)
    assert found.support == (8, 4, 8)


def test_a_class_that_occurs_nowhere_is_nan_and_left_out_of_the_mean():
    found = scores(np.array([[5, 0, 0], [0, 0, 0], [0, 0, 5]]))
    assert math.isnan(found.iou[IceClass.THIN_ICE])
    assert math.isnan(found.recall[IceClass.THIN_ICE])
    assert found.mean_iou == 1


def test_a_class_only_ever_predicted_counts_as_zero():
    found = scores(np.array([[5, 5, 0], [0, 0, 0], [0, 0, 0]]))
    assert found.iou[IceClass.THIN_ICE] == 0
    assert found.mean_iou == pytest.approx(0.25)


def test_scores_are_json_by_class_name_even_without_a_pixel():
    found = scores(empty_matrix()).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["accuracy"] is None
    assert list(found["classes"]) == ["water", "thin_ice", "thick_ice"]


def test_any_number_of_classes_can_be_counted():
    reference, predicted = np.array([[0, 4, 254, 255], [4, 3, 254, 254]], np.uint8)
    found = confusion_matrix(reference, predicted, 255)
    assert found.shape == (255, 255)
    assert found.sum() == found[0, 4] + found[4, 3] + found[254, 254] == 3
    kinds = scores(np.diag([1, 2, 0, 0, 3]), ("a", "b", "c", "d", "e")).as_dict()
    assert list(kinds["classes"]) == ["a", "b", "c", "d", "e"]
    assert kinds["classes"]["e"]["support"] == 3
    assert kinds["classes"]["c"]["recall"] is None
    assert kinds["mean_iou"] == 1.0


@pytest.mark.parametrize(("reference", "predicted"), [([0, 1], [0]), ([3], [0]), ([0], [7])])
def test_arrays_that_are_no_two_class_maps_are_refused(reference, predicted):
    with pytest.raises(ValueError, match=r"shape|codes"):
        confusion_matrix(np.array(reference, np.uint8), np.array(predicted, np.uint8))
