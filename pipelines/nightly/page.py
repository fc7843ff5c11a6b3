"""The morning's page: what the night did, what failed and why, and the series over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from matplotlib.figure import Figure

import labeling
from labeling.classes import PALETTES, IceClass
from labeling.files.atomic import replacing
from labeling.text import encodable
from pipelines.nightly.series import Row
from pipelines.nightly.site import Site
from pipelines.nightly.status import Status
from pipelines.report.charts import Chart, Theme, draw_chart
from pipelines.report.headline import NONE
from pipelines.report.page import page_renderer

LINES: Final = 200
"""Lines of the table at most, the newest; the files hold the rest."""


def write_page(site: Site, status: Status, rows: Sequence[Row], palette: str) -> None:
    """Write index.html of a site, whose classes have the colours of `palette`, a name in PALETTES."""
    newest = sorted(rows, key=lambda row: (row.night, row.scene), reverse=True)
    content = {
        "name": site.root.name,
        "version": labeling.__version__,
        "status": status,
        "rows": [(row, shares(row)) for row in newest[:LINES]],
        "count": len(rows),
        "lines": LINES,
        "classes": list(IceClass),
        "chart": series_chart(rows, palette),
        "has_report": site.run.report.is_file(),
        "NONE": NONE,
    }
    page = page_renderer("pipelines.nightly").get_template("nightly.html").render(content)
    with replacing(site.page) as temporary:
        temporary.write_text(encodable(page), encoding="utf-8")


def shares(row: Row) -> list[float] | None:
    """Return the share of each class, 0..1, in the classed pixels of a scene's map, or else of its labels.

    None where there are no such pixels.
    """
    for source in ("map", "labels"):
        pixels = [row.figures[f"{source}_{ice.name.lower()}_pixels"] for ice in IceClass]
        if None not in pixels and sum(pixels):
            return [count / sum(pixels) for count in pixels]
    return None


def series_chart(rows: Sequence[Row], palette: str) -> Chart | None:
    """Draw the shares of the classes over the time of the pictures, in the colours of `palette`.

    None where less than two scenes say their time.
    """
    known = [(row.figures["time"], found) for row in rows if row.figures["time"] and (found := shares(row))]
    if len(known) < 2:
        return None

    def draw(figure: Figure, theme: Theme) -> None:
        axis = figure.subplots()
        times = [time for time, _ in known]
        for ice in IceClass:
            colour = "#{:02x}{:02x}{:02x}".format(*PALETTES[palette][ice])
            values = [found[ice] for _, found in known]
            axis.plot(times, values, "o-", markersize=4, color=colour, label=ice.title)
        axis.set_ylim(0, 1)
        axis.set_ylabel("share of the classed pixels")
        axis.tick_params("x", labelrotation=30)
        axis.legend(frameon=False)

    return draw_chart(draw, height=3.5)
