import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.ranks.exchange import Exchange, last_first
from training.settings.config import TrainConfig


def exchange(ranks=2, pixels=64 * 64, **changed):
    values = {"chips": "c", "out": "o", "batch_size": 8} | changed
    return Exchange.of(TrainConfig.model_validate(values), ranks=ranks, pixels=pixels)


def test_gradients_are_cut_from_the_last_to_the_first():
    assert last_first([1, 1, 1, 1], 2) == [[3, 2], [1, 0]]
    assert last_first([1, 1, 1, 1], 1) == [[3, 2, 1, 0]]
    # Half of all bytes lie in one tensor, so that the others make a group before and one after it.
    assert last_first([10, 10, 60, 20, 20], 3) == [[4, 3], [2], [1, 0]]
    assert last_first([100, 1], 4) == [[1], [0]]


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=60), st.integers(1, 64))
def test_every_gradient_is_in_one_group_and_groups_are_about_equal(sizes, groups):
    runs = last_first(sizes, groups)
    assert [place for run in runs for place in run] == [*reversed(range(len(sizes)))]
    assert 1 <= len(runs) <= groups
    assert all(runs)
    # Half a tensor at each end may be too much.
    assert all(sum(sizes[i] for i in run) <= sum(sizes) / groups + max(sizes) for run in runs)


def test_gradients_travel_as_they_are_unless_asked():
    assert exchange(exchange_groups=3) == Exchange(3, None)


def test_a_mean_gradient_keeps_its_distance_from_both_ends_of_float16():
    # 8 chips x 2 ranks x 64 x 64 pixels = 2**16: the sum of a mean gradient of 1 travels as 2**10.
    assert exchange(exchange_precision="float16").factor == 2.0**-6
    assert exchange(exchange_precision="float16", ranks=3).factor == 2.0**-7
    assert exchange(exchange_precision="float16", precision="float16").factor == 1.0
    assert exchange(exchange_precision="float16", pixels=1).factor == 2.0**6


def test_weights_of_classes_count():
    """A sum of a mean gradient of 1 must fit, whatever a pixel weighs."""
    chosen = exchange(exchange_precision="float16", class_weights=(1000.0, 1.0, 0.5))
    assert chosen.factor * 2**16 * 1000 <= 2.0**10
    light = exchange(exchange_precision="float16", class_weights=(0.5, 0.5, 0.5))
    assert light == exchange(exchange_precision="float16")


@pytest.mark.parametrize("groups", [0, 65])
def test_groups_have_bounds(groups):
    with pytest.raises(ValueError, match="exchange_groups"):
        exchange(exchange_groups=groups)
