"""Every product by its name, which is that of its settings and of its folder too."""

from __future__ import annotations

from typing import Final

from pipelines.products import catalog, concentration, edges, floes, mosaic, pictures, statistics
from pipelines.products.config import ProductName
from pipelines.products.product import Product

PRODUCTS: Final[dict[ProductName, Product]] = {
    "mosaic": Product(mosaic.make, "one map from many, each pixel from one of them by a rule"),
    "concentration": Product(concentration.make, "shares of ice and thin ice on a grid of cells, NetCDF"),
    "statistics": Product(statistics.make, "areas of classes by scene, polygon and cell"),
    "floes": Product(floes.make, "floes with their outlines, sizes by bin, leads by width"),
    "edges": Product(edges.make, "ice edges as lines, and by how much area they differ"),
    "pictures": Product(pictures.make, "pictures of mosaic, concentration and floes"),
    "catalog": Product(catalog.make, "a STAC catalogue of labels, maps and the other products"),
}
