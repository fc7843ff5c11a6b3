"""Quicklooks: a scene beside its classes with a legend, as a picture for a person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from labeling.classes import IGNORE, PALETTES, IceClass
from labeling.files.atomic import replacing
from labeling.files.storage import AnyPath
from labeling.results.preview import PREVIEW_SIDE, paint


def write_quicklook(
    target: AnyPath,
    title: str,
    scene: NDArray[np.uint8],
    panels: Sequence[tuple[str, NDArray[np.uint8]]],
    palette: str = "polynya",
) -> None:
    """Write the scene and its class panels side by side as a PNG.

    `scene` is u8 (height, width, 3); each panel is a heading and class codes u8 (height, width).
    """
    pictures = [("scene", scene), *((name, paint(classes, palette)) for name, classes in panels)]
    height, width = scene.shape[:2]
    side = 5.0  # inches
    tall = side * min(2.0, max(0.3, height / width))
    figure = Figure(figsize=(side * len(pictures), tall + 0.9), layout="constrained")
    for axes, (name, picture) in zip(figure.subplots(1, len(pictures)), pictures, strict=True):
        axes.imshow(picture, interpolation="nearest" if max(height, width) < PREVIEW_SIDE // 4 else None)
        axes.set_title(name)
        axes.set(xticks=[], yticks=[])  # they are not shown, and placing them takes a sixth of the time
        axes.set_axis_off()
    shown = set(np.unique(np.concatenate([classes.ravel() for _, classes in panels])).tolist())
    figure.legend(handles=legend_patches(palette, IGNORE in shown), loc="outside lower center", ncols=4)
    figure.suptitle(title)
    with replacing(target) as temporary:
        figure.savefig(temporary, dpi=100)


def legend_patches(palette: str, with_ignore: bool) -> list[Patch]:
    """Return a legend's coloured boxes, one a class."""
    titles = {int(c): c.title for c in IceClass} | ({IGNORE: "no class"} if with_ignore else {})
    colours = {code: "#{:02x}{:02x}{:02x}".format(*PALETTES[palette][code]) for code in titles}
    return [Patch(facecolor=colours[code], edgecolor="grey", label=text) for code, text in titles.items()]
