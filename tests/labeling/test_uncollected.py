import gc

import pytest

from labeling.uncollected import uncollected


@uncollected()
def inside(error=None):
    if error:
        raise error
    with uncollected():
        pass
    return gc.isenabled()


def test_cycles_are_searched_for_again_after_the_block():
    assert gc.isenabled()
    assert not inside()
    assert gc.isenabled()
    with pytest.raises(OSError, match="full"):
        inside(OSError("full"))
    assert gc.isenabled()


def test_what_was_off_stays_off():
    gc.disable()
    try:
        inside()
        assert not gc.isenabled()
    finally:
        gc.enable()
