"""The page of a calibration: histogram, cuts, candidates, and scenes labelled either way, to choose by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

import labeling
from labeling.classes import CLASS_CODES, IGNORE, PALETTES, IceClass
from labeling.cuts.histogram import LEVELS, density_of, smooth
from labeling.errors import SceneError
from labeling.files.atomic import replacing
from labeling.files.storage import AnyPath
from labeling.ice.profile import ThresholdSettings
from labeling.ice.thresholds import brightness, label
from labeling.results.preview import paint
from labeling.scenes.open import open_scene
from pipelines.calibration.record import Calibration, HintRecord
from pipelines.engine.scenes import CatalogRow
from pipelines.report.charts import Chart, Theme, draw_chart
from pipelines.report.headline import NONE
from pipelines.report.page import page_renderer
from pipelines.report.pictures import Picture, data_uri, reduced_shape

_MARKS: Final = {"water": "#0072b2", "thin_ice": "#009e73", "thick_ice": "#d55e00"}
"""Colours of hints: apart for every common colour blindness, on light and dark."""


def write_page(
    target: AnyPath, folder: AnyPath, record: Calibration, scenes: list[CatalogRow], palette: str
) -> None:
    """Write the page; `scenes` are shown as pictures, `folder` is what the commands on it name."""
    colours = {code: "#{:02x}{:02x}{:02x}".format(*PALETTES[palette][code]) for code in CLASS_CODES}
    content = {
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": labeling.__version__,
        "folder": str(folder),
        "record": record,
        "histogram": histogram_chart(record),
        "scene_chart": scene_chart(record),
        "pictures": {row.scene_id: scene_pictures(row, record, palette) for row in scenes},
        "classes": list(IceClass),
        "colours": colours,
        "ignore_colour": "#{:02x}{:02x}{:02x}".format(*PALETTES[palette][IGNORE]),
        "NONE": NONE,
    }
    page = page_renderer("pipelines.calibration").get_template("calibration.html").render(content)
    with replacing(target) as temporary:
        temporary.write_text(page, encoding="utf-8")


def histogram_chart(record: Calibration) -> Chart:
    """Draw the histogram of all scenes with every candidate's cuts, and the hints below it."""
    density = density_of(np.array(record.counts))

    def draw(figure: Figure, theme: Theme) -> None:
        ratio = [3, 1] if record.hints else [1]
        axes = figure.subplots(len(ratio), 1, sharex=True, height_ratios=ratio, squeeze=False)[:, 0]
        top = axes[0]
        levels = np.arange(LEVELS)
        top.fill_between(levels, 100 * density, step="mid", alpha=0.25, color="grey", linewidth=0)
        top.semilogy(
            levels, 100 * np.maximum(smooth(density, 1.5), 1e-7), color=theme.pick("#1d2733", "#e4e9ef")
        )
        lowest = max(1e-4, float(100 * density[density > 0].min()))
        top.set_ylim(lowest, 200 * float(density.max()))
        for candidate in record.candidates[1:]:
            for cut in (candidate.water_max, candidate.thin_ice_max):
                top.axvline(cut + 0.5, color="grey", linewidth=0.8, linestyle=":")
        best, colour = record.best, theme.pick("#d55e00", "#e69f00")
        for cut, (low, high) in ((best.water_max, best.water_spread), (best.thin_ice_max, best.thin_spread)):
            top.axvspan(low + 0.5, high + 0.5, color=colour, alpha=0.15, linewidth=0)
            top.axvline(cut + 0.5, color=colour, linewidth=2)
        for cut in record.start_cuts:
            top.axvline(cut + 0.5, color=theme.pick("#0072b2", "#56b4e9"), linewidth=1.5, linestyle="--")
        top.set_ylabel("% of pixels a level")
        if record.hints:
            _draw_hints(axes[1], record.hints)
        axes[-1].set_xlabel("brightness V")
        axes[-1].set_xlim(0, LEVELS - 1)

    return draw_chart(draw, height=4.6 if record.hints else 3.4)


def _draw_hints(axes: Axes, hints: list[HintRecord]) -> None:
    for row, (ice, colour) in enumerate(_MARKS.items()):
        own = [hint for hint in hints if hint.ice == ice]
        for right, marker in ((True, "|"), (False, "x")):
            values = [hint.value for hint in own if hint.right is right]
            axes.plot(values, [row] * len(values), marker, color=colour, markersize=9)
    axes.set_yticks(range(len(_MARKS)), [f"{name.replace('_', ' ')} hints" for name in _MARKS])
    axes.set_ylim(-0.6, len(_MARKS) - 0.4)


def scene_chart(record: Calibration) -> Chart | None:
    """Draw where each scene's brightness lies, and the chosen cuts across; None for a single scene."""
    scenes = record.scenes[:40]
    if len(scenes) < 2:
        return None

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for row, scene in enumerate(scenes):
            low, middle, high = scene.levels
            axes.plot([low, high], [row, row], color="grey", linewidth=3, alpha=0.6)
            axes.plot(middle, row, "o", color=theme.pick("#1d2733", "#e4e9ef"), markersize=5)
        for cut in (record.best.water_max, record.best.thin_ice_max):
            axes.axvline(cut + 0.5, color=theme.pick("#d55e00", "#e69f00"), linewidth=2)
        axes.set_yticks(range(len(scenes)), [scene.scene_id[:40] for scene in scenes], fontsize=8)
        axes.set_ylim(len(scenes) - 0.5, -0.5)
        axes.set_xlim(0, LEVELS - 1)
        axes.set_xlabel("brightness V: where 1 %, half and 99 % of a scene's pixels lie below")

    return draw_chart(draw, height=1.0 + 0.22 * len(scenes))


def scene_pictures(row: CatalogRow, record: Calibration, palette: str) -> list[Picture]:
    """Return a scene's picture, and its classes by the start profile's cuts and by every candidate's.

    Classes are those of the cuts alone on the reduced picture, without filter. Empty where it cannot be read.
    """
    try:
        with open_scene(row.info.uri, record.rendering) as scene:
            height, width = reduced_shape(height=row.info.height, width=row.info.width)
            rgb = scene.preview(height=height, width=width)
    except (SceneError, OSError):
        return []
    pictures = [Picture("scene", data_uri(rgb, ".jpg"), f"the picture of {row.scene_id}")]
    ways = {f"as {record.start} has it": record.start_cuts}
    for candidate in record.candidates:
        title = f"{candidate.method} (chosen)" if candidate is record.best else candidate.method
        ways[title] = candidate.water_max, candidate.thin_ice_max
    for title, (water, thin) in ways.items():
        drawn = paint(_classes(rgb, water, thin), palette)
        alt = f"classes of {row.scene_id}, {title}, in the colours of the legend"
        pictures.append(Picture(f"{title}: {water}, {thin}", data_uri(drawn, ".png"), alt))
    return pictures


def _classes(rgb: NDArray[np.uint8], water: int, thin: int) -> NDArray[np.uint8]:
    """Return class codes (height, width) of a reduced picture (height, width, 3); black has none."""
    planar = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    classes = label(planar, ThresholdSettings(water_max=water, thin_ice_max=thin))
    classes[brightness(planar) == 0] = IGNORE
    return classes
