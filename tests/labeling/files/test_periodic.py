from threading import Event

from labeling.files.periodic import periodically

SOON = 0.001


def test_it_is_called_again_and_again_until_the_block_has_ended():
    calls, thrice = [], Event()

    def action(ended):
        calls.append(ended.is_set())
        if len(calls) == 3:
            thrice.set()

    with periodically(action, SOON, name="test"):
        assert thrice.wait(30)
    told = len(calls)
    assert not Event().wait(10 * SOON)
    assert len(calls) == told


def test_the_end_waits_for_an_action_under_way():
    begun, done = Event(), []

    def action(ended):
        begun.set()
        ended.wait(30)
        done.append(ended.is_set())

    with periodically(action, SOON, name="test"):
        assert begun.wait(30)
    assert done == [True]


def test_the_end_does_not_wait_longer_than_it_has_patience():
    begun, free = Event(), Event()

    def action(ended):
        begun.set()
        free.wait(30)

    with periodically(action, SOON, patience=SOON, name="test"):
        assert begun.wait(30)
    assert not free.is_set()
    free.set()


def test_an_action_can_have_enough():
    calls, once = [], Event()

    def action(ended):
        calls.append(1)
        ended.set()
        once.set()

    with periodically(action, SOON, name="test"):
        assert once.wait(30)
        assert not Event().wait(10 * SOON)
    assert calls == [1]
