"""The U-Net. Keras layers only, so that it also runs on Keras's other backends."""

from __future__ import annotations

import keras
from keras import layers


def build_unet(
    *,
    channels: int,
    classes: int = 3,
    depth: int,
    width: int,
    dropout: tuple[float, ...],
    size: int | None = None,
    policy: str = "float32",
) -> keras.Model:
    """Return a U-Net: pictures (N, H, W, channels), 0..1, in; probabilities (N, H, W, classes), float32, out.

    The network has `depth` levels of `width`, 2 x `width`, 4 x `width` … filters; `dropout` holds a rate for
    each, top level first, used on the way down and on the way up. H and W are `size`, or any multiple of
    2 ** (depth - 1) when `size` is None. With depth 6, width 16 and one channel it is the network of
    Iqrah et al. 2024, with its 7,775,347 parameters. `policy` is the Keras dtype policy of all but the last
    layer. Raises ValueError for numbers that do not fit.
    """
    _check(depth=depth, dropout=dropout, size=size)
    picture = keras.Input((size, size, channels), name="picture")
    values: keras.KerasTensor = picture
    skipped: list[keras.KerasTensor] = []
    for level in range(depth):
        if level:
            skipped.append(values)
            values = layers.MaxPooling2D(2, dtype=policy, name=f"down{level}_pool")(values)
        values = _convolutions(values, width * 2**level, dropout[level], f"down{level}", policy)
    for level in reversed(range(depth - 1)):
        filters = width * 2**level
        grow = layers.Conv2DTranspose(
            filters, 2, strides=2, padding="same", dtype=policy, name=f"up{level}_grow"
        )
        join = layers.Concatenate(dtype=policy, name=f"up{level}_join")
        values = join([grow(values), skipped[level]])
        values = _convolutions(values, filters, dropout[level], f"up{level}", policy)
    # float32 whatever the precision of the rest: a loss of half-precision probabilities does not converge.
    outcome = layers.Conv2D(classes, 1, activation="softmax", dtype="float32", name="probabilities")(values)
    return keras.Model(picture, outcome, name="unet")


def _convolutions(
    values: keras.KerasTensor, filters: int, rate: float, name: str, policy: str
) -> keras.KerasTensor:
    for half in ("a", "b"):
        values = layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            dtype=policy,
            name=f"{name}_{half}",
        )(values)
        if half == "a":
            values = layers.Dropout(rate, dtype=policy, name=f"{name}_dropout")(values)
    return values


def _check(*, depth: int, dropout: tuple[float, ...], size: int | None) -> None:
    if depth < 1:
        raise ValueError(f"a U-Net needs at least one level, not {depth}")
    if len(dropout) != depth:
        raise ValueError(f"{depth} levels need {depth} dropout rates, not {len(dropout)}")
    multiple = 2 ** (depth - 1)
    if size is not None and (size < 1 or size % multiple):
        raise ValueError(f"{depth} levels need a side that is a multiple of {multiple} pixels, not {size}")
