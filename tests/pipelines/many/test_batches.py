from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipelines.many.batches import batches


@given(st.lists(st.integers(0, 9)), st.integers(1, 20))
def test_all_are_in_a_batch_once_in_their_order_and_none_is_too_heavy(things, most):
    found = list(batches(things, most, weight=int))
    assert [thing for batch in found for thing in batch] == things
    assert all(batch and (sum(batch) <= most or len(batch) == 1) for batch in found)
    # None could have taken the first of the next.
    assert all(sum(one) + other[0] > most for one, other in pairwise(found))


@given(st.integers(0, 50), st.integers(1, 7))
def test_without_a_weight_things_count(count, most):
    assert [len(batch) for batch in batches(range(count), most)] == [
        min(most, count - start) for start in range(0, count, most)
    ]
