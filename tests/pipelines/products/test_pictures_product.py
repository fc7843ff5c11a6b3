"""Pictures of products: one for each that is finished, drawn again when it changed, refused without any."""

import cv2
import numpy as np
import pytest
from map_factory import MapFactory
from rasterio.transform import from_origin
from scipy import ndimage

from labeling.errors import ConfigError
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


def test_finished_products_are_drawn(made):
    assert products(made, "mosaic", "concentration", "floes", "edges", "pictures") == (2, ())
    folder = made.product("pictures")
    names = {path.name for path in folder.iterdir()}
    assert names == {"mosaic.png", "concentration.png", "floes.png", "done.json"}
    for name in names - {"done.json"}:
        picture = cv2.imread(str(folder / name))
        assert picture.shape == (800, 800, 3)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50  # something is drawn
    mosaic = cv2.imread(str(folder / "mosaic.png"))[..., ::-1].reshape(-1, 3)
    for colour in ((13, 47, 92), (86, 180, 233), (250, 244, 228)):
        assert (np.abs(mosaic.astype(int) - colour).max(axis=1) <= 3).sum() > 1000
    before = (folder / "done.json").stat().st_mtime_ns
    products(made, "pictures")
    assert (folder / "done.json").stat().st_mtime_ns == before
    products(made, "floes", "pictures", floes={"lead_widths": [50, 200], "least": 5000})
    assert (folder / "done.json").stat().st_mtime_ns > before


def test_without_products_there_is_nothing_to_draw(made):
    with pytest.raises(ConfigError, match="nothing to draw"):
        products(made, "pictures")
    assert not made.product("pictures").exists()
