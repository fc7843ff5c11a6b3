import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.settings.config import TrainConfig
from training.settings.schedule import Schedule


def rates(schedule, updates, epochs):
    """Learning rate of each of `updates` updates an epoch."""
    count = updates * epochs
    return [schedule.rate(step / updates, (step + 1) / updates) for step in range(count)]


def test_the_default_is_one_rate_for_ever():
    config = TrainConfig(chips="c", out="o", learning_rate=0.003)
    assert set(rates(Schedule.of(config, 64), 7, 5)) == {0.003}


def test_a_warm_up_rises_evenly_to_the_peak_and_begins_above_nothing():
    found = rates(Schedule(peak=1.0, epochs=4, warmup_epochs=2), 5, 4)
    assert found[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert found[10:] == [1.0] * 10


def test_a_cosine_falls_from_the_peak_to_almost_nothing():
    found = rates(Schedule(peak=2.0, epochs=11, warmup_epochs=1, kind="cosine"), 10, 11)
    assert max(found) == found[10] == 2.0
    assert found[60] == pytest.approx(1.0)
    assert sorted(found[10:], reverse=True) == found[10:]
    assert 0 < found[-1] < 0.01


def test_steps_fall_after_the_named_epochs():
    schedule = Schedule(peak=1.0, epochs=6, kind="step", decay_epochs=(2, 4), decay_factor=0.5)
    assert rates(schedule, 1, 6) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_the_rate_grows_with_the_batch_where_that_is_asked_for():
    config = TrainConfig(chips="c", out="o", learning_rate=0.01, reference_batch=32)
    assert Schedule.of(config, 256).peak == pytest.approx(0.08)
    assert Schedule.of(config, 32).peak == 0.01


@given(
    st.sampled_from(["constant", "cosine", "step"]), st.floats(0, 4), st.integers(1, 30), st.integers(5, 9)
)
def test_every_rate_lies_between_nothing_and_the_peak(kind, warmup, updates, epochs):
    decay = (3, 4) if kind == "step" else ()
    schedule = Schedule(peak=0.7, epochs=epochs, warmup_epochs=warmup, kind=kind, decay_epochs=decay)
    assert all(0 < rate <= 0.7 for rate in rates(schedule, updates, epochs))
