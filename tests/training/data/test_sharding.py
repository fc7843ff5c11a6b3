import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.sharding import EMPTY, epoch_order, rank_batches, share_batches

COUNTS = st.integers(0, 70)


def plans(count, batch_size, size):
    order = epoch_order(count, seed=1, epoch=2)
    return order, [rank_batches(order, batch_size=batch_size, rank=rank, size=size) for rank in range(size)]


@given(COUNTS, st.integers(1, 9), st.integers(1, 6))
def test_every_chip_is_seen_exactly_once_in_equal_numbers_of_steps(count, batch_size, size):
    _, found = plans(count, batch_size, size)
    assert len({plan.shape for plan in found}) == 1
    seen = np.concatenate([plan.ravel() for plan in found])
    assert sorted(seen[seen != EMPTY]) == list(range(count))
    assert np.count_nonzero(seen == EMPTY) < batch_size * size


@given(COUNTS, st.integers(1, 5), st.integers(1, 6))
def test_many_ranks_see_in_a_step_what_one_would_with_the_whole_batch(count, batch_size, size):
    order, found = plans(count, batch_size, size)
    alone = rank_batches(order, batch_size=batch_size * size, rank=0, size=1)
    np.testing.assert_array_equal(np.concatenate(found, axis=1), alone)


@given(COUNTS, st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any))
def test_unequal_shares_of_the_same_global_batches(count, shares):
    order = epoch_order(count, seed=1, epoch=2)
    found = [share_batches(order, shares, rank) for rank in range(len(shares))]
    assert [plan.shape[1] for plan in found] == shares
    alone = rank_batches(order, batch_size=sum(shares), rank=0, size=1)
    np.testing.assert_array_equal(np.concatenate(found, axis=1), alone)


@given(COUNTS, st.integers(0, 2**31), st.integers(0, 1000))
def test_order_is_a_permutation_that_seed_and_epoch_decide(count, seed, epoch):
    order = epoch_order(count, seed=seed, epoch=epoch)
    assert sorted(order) == list(range(count))
    np.testing.assert_array_equal(order, epoch_order(count, seed=seed, epoch=epoch))


def test_epochs_have_different_orders():
    orders = {tuple(epoch_order(20, seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (1, 2, 3)}
    assert len(orders) == 6


@pytest.mark.parametrize("wrong", [{"rank": 2}, {"rank": -1}, {"batch_size": 0}])
def test_impossible_ranks_and_batches_are_refused(wrong):
    with pytest.raises(ValueError, match="not possible"):
        rank_batches(np.arange(4), **({"batch_size": 1, "rank": 0, "size": 2} | wrong))
