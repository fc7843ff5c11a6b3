"""Layers: shares of one in levels that other readers turn back into numbers, and what uncertainty means."""

import json

import numpy as np
import pystac
import pytest
import rasterio
import rioxarray
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rio_cogeo.cogeo import cog_validate
from scipy.special import softmax

from labeling.grid import blocks
from labeling.results.layers import LAYERS, LEVELS, SCALE, UNSAID, levels, shares_of, write_layer

PLACE = {"crs": CRS.from_epsg(3031), "transform": from_origin(0, 0, 10, 10)}


def probabilities(height, width, seed=0, spread=3.0):
    rng = np.random.default_rng(seed)
    return softmax(rng.normal(0, spread, (height, width, 3)), axis=-1).astype(np.float32)


def test_levels_are_worth_their_scale():
    assert pytest.approx(1) == LEVELS * SCALE
    assert levels(np.float32([0, 0.001, 0.003, 0.5, 1])).tolist() == [0, 0, 1, 125, 250]


@given(st.integers(0, 99), st.floats(0, 30))
def test_uncertainty_is_one_less_the_lead_of_the_likeliest(seed, spread):
    given_, found = (p := probabilities(5, 7, seed, spread)), shares_of("uncertainty", p)
    ordered = np.sort(given_.astype(np.float64), axis=-1)
    np.testing.assert_allclose(found[0], 1 - ordered[..., 2] + ordered[..., 1], atol=1e-6)
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-6
    assert levels(found).max() <= LEVELS


def test_uncertainty_of_the_sure_and_of_the_undecided():
    given_ = np.float32([[[1, 0, 0], [0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3], [0.2, 0.1, 0.7]]])
    np.testing.assert_allclose(shares_of("uncertainty", given_)[0, 0], [0, 1, 1, 0.5], atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_cogs_that_xarray_turns_into_numbers(tmp_path, name):
    layer, shares = LAYERS[name], shares_of(name, probabilities(600, 520))
    known, found = levels(shares), set()
    known[:, :100] = UNSAID
    for size in (600, 77):
        write_layer(
            tmp_path / layer.file, layer, blocks(height=600, width=520, size=size),
            lambda block: known[:, *block.slices], height=600, width=520, **PLACE,
        )  # fmt: skip
        found.add((tmp_path / layer.file).read_bytes())
    assert len(found) == 1
    assert cog_validate(tmp_path / layer.file, strict=True) == (True, [], [])
    with rasterio.open(tmp_path / layer.file) as raster:
        assert {interpretation.name for interpretation in raster.colorinterp} <= {"gray", "undefined"}
        assert raster.colorinterp[0].name == "gray"
        assert raster.descriptions == tuple(map(layer.describe, layer.bands))
        assert raster.units == ("1",) * len(layer.bands)
    with rioxarray.open_rasterio(tmp_path / layer.file, mask_and_scale=True) as raster:
        values = raster.to_numpy()
    assert np.isnan(values[:, :100]).all()
    np.testing.assert_allclose(values[:, 100:], shares[:, 100:], atol=SCALE / 2 + 1e-6)


def test_an_item_says_what_levels_are_worth():
    asset = json.loads(json.dumps(LAYERS["probability"].asset.fields))
    assert [band["name"] for band in asset["bands"]] == ["open_water", "thin_ice", "thick_ice"]
    assert (asset["raster:scale"], asset["raster:offset"], asset["nodata"]) == (SCALE, 0, UNSAID)
    assert pystac.MediaType.COG == "image/tiff; application=geotiff; profile=cloud-optimized"
