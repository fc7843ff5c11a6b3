"""The charts of the report, drawn once for light and once for dark pages."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.evaluation.record import METHOD_TITLES, SKY_TITLES, AccuracyTable, Method

HistoryRow = Mapping[str, float | None]
"""One epoch of history.csv; None where a value is missing."""

_MARKERS: Final[dict[Method, tuple[str, str, str]]] = {
    "model": ("o", "#0072b2", "#56b4e9"),
    "labels": ("s", "#d55e00", "#e69f00"),
    "thresholds": ("^", "#555555", "#bbbbbb"),
}
"""Shape, colour on a light page, colour on a dark page: apart without colour too."""

_INKS: Final = {"light": "#1d2733", "dark": "#e4e9ef"}


class Chart(NamedTuple):
    """A chart as data URIs."""

    light: str
    dark: str


class Theme(NamedTuple):
    """What a chart is drawn for."""

    dark: bool

    def pick(self, light: str, dark: str) -> str:
        """Return the colour for the theme."""
        return dark if self.dark else light


def accuracy_chart(table: AccuracyTable) -> Chart | None:
    """Draw accuracy and mean IoU of every method by sky; None where nothing is known."""
    skies = [sky for sky in SKY_TITLES if sky in table and table[sky]["model"].pixels]
    if not skies:
        return None

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots(1, 2, sharey=True)
        for axis, score in zip(axes, ("accuracy", "mean_iou"), strict=True):
            for place, (method, (marker, light, dark)) in enumerate(_MARKERS.items()):
                values = [getattr(table[sky][method], score) for sky in skies]
                rows = [row + 0.18 * (place - 1) for row in range(len(skies))]  # so that none hides another
                axis.plot(
                    values, rows, marker, markersize=9, color=theme.pick(light, dark),
                    label=METHOD_TITLES[method], alpha=0.9,
                )  # fmt: skip
            axis.set_title("accuracy against truth" if score == "accuracy" else "mean IoU against truth")
            axis.grid(axis="x", alpha=0.25)
            axis.set_xlim(right=1.0)
            axis.set_xmargin(0.08)
        axes[0].set_yticks(range(len(skies)), [SKY_TITLES[sky] for sky in skies])
        axes[0].set_ylim(len(skies) - 0.5, -0.5)
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
        )

    return draw_chart(draw, height=1.5 + 0.45 * len(skies))


def training_chart(history: Sequence[HistoryRow], best_epoch: int | None) -> Chart | None:
    """Draw loss and validation mean IoU by epoch; None without epochs."""
    if not history:
        return None

    def draw(figure: Figure, theme: Theme) -> None:
        left, right = figure.subplots(1, 2)
        blue, orange = theme.pick("#0072b2", "#56b4e9"), theme.pick("#d55e00", "#e69f00")
        _curve(left, history, "loss", "training", blue, "-o")
        _curve(left, history, "val_loss", "validation", orange, "--s")
        _curve(right, history, "mean_iou", "mean IoU", blue, "-o")
        _curve(right, history, "accuracy", "agreement", orange, "--s")
        left.set_title("loss")
        right.set_title("validation chips against automatic labels")
        for axes in (left, right):
            if best_epoch is not None:
                axes.axvline(best_epoch, color="grey", linewidth=1, linestyle=":")
                axes.annotate(
                    "kept", (best_epoch, 1.0), xycoords=("data", "axes fraction"), fontsize=8,
                    ha="right", rotation=90, va="top", color="grey",
                )  # fmt: skip
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.25)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False)

    return draw_chart(draw, height=3.0)


def _curve(axes: Axes, history: Sequence[HistoryRow], key: str, title: str, colour: str, style: str) -> None:
    points = [(row["epoch"], value) for row in history if (value := row.get(key)) is not None]
    if points:
        epochs, values = zip(*points, strict=True)
        axes.plot(epochs, values, style, color=colour, label=title, markersize=3)


def draw_chart(draw: Callable[[Figure, Theme], None], height: float) -> Chart:
    """Draw a chart in both themes; `height` is in inches."""
    return Chart(*(_png(draw, theme, height) for theme in ("light", "dark")))


def _png(draw: Callable[[Figure, Theme], None], theme: str, height: float) -> str:
    """Return a drawing as a PNG's data URI, on a transparent ground; `height` is in inches."""
    ink = _INKS[theme]
    style: dict[Any, Any] = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color", "axes.edgecolor"),
        ink,
    )
    style |= {"font.size": 10, "axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False}
    file = io.BytesIO()
    with rc_context(style):
        figure = Figure(figsize=(9.0, height), layout="constrained")
        draw(figure, Theme(theme == "dark"))
        figure.savefig(file, format="png", dpi=144, transparent=True)
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode('ascii')}"
