"""Pictures of products: one for each that is finished, drawn again when it changed, refused without any."""

import cv2
import netCDF4
import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
from map_factory import MapFactory
from rasterio.transform import from_origin
from scipy import ndimage

from labeling.errors import ConfigError
from pipelines.products import pictures
from pipelines.products.config import ProductsConfig
from pipelines.products.job import run

pytestmark = pytest.mark.slow

OPTIONS = {
    "spark": {"master": "local[2]"}, "mosaic": {"rule": "clearest"}, "floes": {"lead_widths": [50, 200]},
    "concentration": {"cell_km": 0.5, "period": "all", "rule": "clearest"},
}  # fmt: skip


@pytest.fixture
def made(tmp_path):
    factory = MapFactory(tmp_path / "run")
    rng = np.random.default_rng(4)
    for number, name in enumerate(("first", "second")):
        rough = ndimage.gaussian_filter(rng.normal(size=(160, 200)), 6)
        classes = np.select([rough > 0.01, rough > -0.01], [2, 1], 0).astype(np.uint8)
        factory.add(name, classes, "EPSG:3031", from_origin(1000 * number, -1_250_000, 10, 10))
    return factory.write()


def products(made_run, *names, **options):
    return run(ProductsConfig(run=made_run.root, products=list(names), **OPTIONS | options))


@pytest.fixture
def axes(monkeypatch):
    """The axes of pictures by title, as they are drawn; a colour bar has none."""
    drawn = {}

    class Kept(pictures.Figure):
        def savefig(self, *arguments, **options):
            super().savefig(*arguments, **options)
            drawn.update({each.get_title(): each for each in self.axes if each.get_title()})

    monkeypatch.setattr(pictures, "Figure", Kept)
    return drawn


def test_finished_products_are_drawn(made, axes):
    assert products(made, "mosaic", "concentration", "floes", "edges", "pictures") == (2, ())
    folder = made.product("pictures")
    names = {path.name for path in folder.iterdir()}
    assert names == {"mosaic.png", "concentration.png", "floes.png", "done.json"}
    for name in names - {"done.json"}:
        picture = cv2.imread(str(folder / name))
        assert picture.shape == (800, 800, 3)
    with netCDF4.Dataset(made.product("concentration") / "concentration.nc") as file:
        shares = file["ice_conc"][:].filled(np.nan).squeeze()
    [concentration] = [each for title, each in axes.items() if title.startswith("Concentration")]
    np.testing.assert_array_equal(np.ma.filled(concentration.images[0].get_array(), np.nan), shares)
    edges = pyogrio.read_info(made.product("edges") / "edges.gpkg")
    assert len(concentration.collections) == edges["features"] > 0
    [floes] = [each for title, each in axes.items() if "whole floes of" in title]
    most = max(pq.read_table(made.product("floes") / "scenes.parquet")["floes"].to_pylist())
    assert floes.get_title().startswith(f"{most} whole floes")
    assert len(floes.collections[0].get_paths()) == most > 0
    assert {floes.get_xlabel(), concentration.get_ylabel()} == {"km"}
    mosaic = cv2.imread(str(folder / "mosaic.png"))[..., ::-1].reshape(-1, 3)
    for colour in ((13, 47, 92), (86, 180, 233), (250, 244, 228)):
        assert (np.abs(mosaic.astype(int) - colour).max(axis=1) <= 3).sum() > 1000
    before = (folder / "done.json").stat().st_mtime_ns
    products(made, "pictures")
    assert (folder / "done.json").stat().st_mtime_ns == before
    products(made, "floes", "pictures", floes={"lead_widths": [50, 200], "least": 5000})
    assert (folder / "done.json").stat().st_mtime_ns > before


def test_edges_of_another_concentration_are_not_drawn(made, axes):
    products(made, "concentration", "edges", "pictures")
    other = OPTIONS["concentration"] | {"cell_km": 0.8}
    products(made, "concentration", "pictures", concentration=other)
    [concentration] = axes.values()
    assert not concentration.collections
    assert concentration.get_legend() is None


def test_products_of_other_maps_are_not_drawn(made):
    products(made, "floes")
    with pytest.raises(ConfigError, match="was made of other maps than the 1 maps that pictures is asked of"):
        products(made, "pictures", scenes=["first"])
    assert products(made, "floes", "pictures", scenes=["first"]).exit_code == 0


def test_degrees_are_not_drawn_as_kilometres(tmp_path, axes):
    factory = MapFactory(tmp_path / "run")
    degrees = from_origin(170, -70, 0.001, 0.0005)
    factory.add("one", np.full((50, 60), 2, np.uint8), "EPSG:4326", degrees)
    products(factory.write(), "mosaic", "pictures", mosaic={"rule": "clearest", "pixel": 0.001})
    assert axes["Mosaic"].get_xlabel() == "degrees"
    assert axes["Mosaic"].images[0].get_extent()[0] == pytest.approx(170)


def test_without_products_there_is_nothing_to_draw(made):
    with pytest.raises(ConfigError, match="nothing to draw"):
        products(made, "pictures")
    assert not made.product("pictures").exists()
