"""The loops over fields, held against OpenCV and NumPy."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labeling.chips.fields import add_enlarged, look_up

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 70))


def floats(rng, shape, low=0.0, high=1.0):
    return rng.uniform(low, high, shape).astype(np.float32)


@given(
    seed=st.integers(0, 10**6),
    lattices=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=3),
    part=SIDES,
)
def test_corners_are_those_of_opencvs_cubic_enlargement(seed, lattices, part):
    rng = np.random.default_rng(seed)
    rows, columns = part
    total, strengths = floats(rng, part), floats(rng, len(lattices))
    expected, knots, sizes = total.copy(), [], []
    for (counts, more), strength in zip(lattices, strengths, strict=True):
        height, width = (max(side + extra, n) for side, extra, n in zip(part, more, counts, strict=True))
        field = floats(rng, counts)
        large = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width)
        expected += strength * large[height - rows :, width - columns :]
        knots.append(field.ravel())
        sizes.append((height, width))
    counts = np.array([counts for counts, _ in lattices])
    add_enlarged(np.concatenate(knots), counts, np.array(sizes), strengths, total)
    np.testing.assert_allclose(total, expected, atol=5e-5)


@given(seed=st.integers(0, 10**6), low=st.floats(-2, 1), span=st.floats(0.1, 3), count=st.integers(2, 40))
def test_values_are_linear_between_those_given_and_level_beyond(seed, low, span, count):
    rng = np.random.default_rng(seed)
    field, values = floats(rng, (7, 19), -3, 5), floats(rng, count)
    expected = np.interp(field, np.linspace(low, low + span, count), values)
    look_up(field, low, low + span, values)
    np.testing.assert_allclose(field, expected, atol=1e-3)
