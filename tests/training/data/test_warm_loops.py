"""What an image is made with: code of every loop that draws on chips."""

from labeling.chips import fields, loops, noise, skies, tones
from training.data.augment import warm

KERNELS = [
    (module, name)
    for module in (fields, loops, noise)
    for name, value in vars(module).items()
    if hasattr(value, "__wrapped__") and value.__module__ == module.__name__
]


def test_every_compiled_loop_is_run(monkeypatch):
    run = set()

    def noted(name, kernel):
        def call(*arguments):
            run.add(name)
            return kernel(*arguments)

        return call

    for module, name in KERNELS:
        kernel = noted(name, getattr(module, name))
        for user in (module, skies, tones):
            if hasattr(user, name):
                monkeypatch.setattr(user, name, kernel)
    warm()
    assert run == {name for _, name in KERNELS}
    assert len(run) >= 7
