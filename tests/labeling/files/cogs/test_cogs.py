"""Rasters as users open them: valid COGs, the same bytes for any cut, read by others as meant."""

from itertools import pairwise

import numpy as np
import pytest
import rasterio
import rioxarray
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_info, cog_validate

from labeling.classes import IGNORE, PALETTES
from labeling.files.cogs.legend import STATUS, class_legend
from labeling.files.cogs.write import copy_cog, explain, new_cog, plain_profile, write_codes
from labeling.grid import blocks
from labeling.status import PixelStatus

PLACE = {"crs": CRS.from_epsg(3031), "transform": Affine(10, 0, -150_000, 0, -10, -1_250_000)}
SIZES = [(1, 1), (2, 700), (300, 300), (513, 600), (1100, 1300)]


def codes_of(height, width, codes=(0, 1, 2, IGNORE), seed=0):
    """Patches of codes with single pixels between them."""
    rng = np.random.default_rng(seed)
    patches = rng.choice(codes, (-(-height // 37), -(-width // 23))).astype(np.uint8)
    found = np.kron(patches, np.ones((37, 23), np.uint8))[:height, :width]
    dots = rng.random(found.shape) < 0.05
    found[dots] = rng.choice(codes, int(dots.sum()))
    return found


def write(target, codes, cut=(64, 64), *, legend=None, order=1, **options):
    height, width = codes.shape
    parts = list(blocks(height=height, width=width, size=cut[0], columns=cut[1]))[::order]
    windows = ((block.window, codes[block.slices]) for block in parts)
    write_codes(
        target, windows, legend or class_legend("polynya"), height=height, width=width, **PLACE | options
    )
    return target


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("legend", [class_legend("polynya"), STATUS], ids=["classes", "status"])
def test_rasters_of_codes_are_valid_cogs(tmp_path, height, width, legend):
    known = [entry.code for entry in legend.entries]
    codes = codes_of(height, width, known)
    path = write(tmp_path / "codes.tif", codes, legend=legend)
    assert cog_validate(path, strict=True) == (True, [], [])
    shown = cog_info(path)
    assert shown.COG
    assert shown.Profile.Nodata == legend.nodata
    with rasterio.open(path) as raster:
        np.testing.assert_array_equal(raster.read(1), codes)
        assert raster.descriptions == (legend.band,)
        colours = raster.colormap(1)
        named = raster.tags(1)
    assert all(colours[entry.code][:3] == entry.colour for entry in legend.entries)
    texts = {f"{legend.tag}_{e.code}": e.title for e in legend.entries if e.code != legend.nodata}
    assert texts.items() <= named.items()


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_overviews_hold_codes_of_the_pixels_below(tmp_path, height, width):
    """Every pixel of an overview is one of the pixels that it stands for, or next to: no code is made up."""
    codes = codes_of(height, width, (0, 2, IGNORE))
    path = write(tmp_path / "codes.tif", codes)
    with rasterio.open(path) as raster:
        factors = raster.overviews(1)
    # As many as bring a map of the whole scene down to about one tile.
    assert len(factors) == max(0, int(np.ceil(np.log2(max(height, width) / 256))))
    for level, factor in enumerate(factors):
        with rasterio.open(path, overview_level=level) as raster:
            small = raster.read(1)
        down, right = height / small.shape[0], width / small.shape[1]
        assert max(0, factor - down, factor - right) == 0 or min(small.shape) == 1
        assert max(down, right) < factor + 1
        for (row, column), code in np.ndenumerate(small):
            # Overviews are made of one another, so a pixel may come from half of itself farther.
            first, last = row * down - factor / 2, (row + 1) * down + factor / 2
            start, stop = column * right - factor / 2, (column + 1) * right + factor / 2
            assert code in codes[max(0, int(first)) : int(last) + 1, max(0, int(start)) : int(stop) + 1]


def test_statistics_are_those_of_the_pixels_with_a_class(tmp_path):
    codes = codes_of(700, 500)
    path = write(tmp_path / "codes.tif", codes)
    with rasterio.open(path) as raster:
        tags = raster.tags(1)
    classed = codes[codes != IGNORE].astype(float)
    said = [float(tags[f"STATISTICS_{name}"]) for name in ("MINIMUM", "MAXIMUM", "MEAN", "STDDEV")]
    np.testing.assert_allclose(said, [classed.min(), classed.max(), classed.mean(), classed.std()], rtol=1e-9)
    assert float(tags["STATISTICS_VALID_PERCENT"]) == pytest.approx(100 * classed.size / codes.size, abs=0.01)


@pytest.mark.parametrize("palette", PALETTES)
def test_xarray_reads_classes_as_they_were_written(tmp_path, palette):
    codes = codes_of(300, 420)
    path = write(tmp_path / "codes.tif", codes, legend=class_legend(palette))
    with rioxarray.open_rasterio(path, masked=True) as found:
        values = found.to_numpy()[0]
        assert found.rio.crs == PLACE["crs"]
        assert found.rio.transform() == PLACE["transform"]
        assert float(found.x[0]) == -150_000 + 5
    np.testing.assert_array_equal(np.isnan(values), codes == IGNORE)
    np.testing.assert_array_equal(values[codes != IGNORE], codes[codes != IGNORE])


@pytest.mark.parametrize("shape", [(300, 300), (1100, 700)])
def test_bytes_do_not_depend_on_cut_order_and_threads(tmp_path, shape):
    codes, found = codes_of(*shape), set()
    for cut, order, threads in (
        ((64, 64), 1, 1), ((64, 64), -1, 2), ((100, 333), 1, 2), ((2000, 2000), 1, 3), ((7, 2000), 1, 1),
    ):  # fmt: skip
        path = write(tmp_path / "codes.tif", codes, cut, order=order, threads=threads)
        found.add(path.read_bytes())
    assert len(found) == 1
    assert write(tmp_path / "codes.tif", np.roll(codes, 1)).read_bytes() not in found


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 99))
def test_any_size_comes_back(tmp_path_factory, height, width, size, seed):
    path = tmp_path_factory.mktemp("any") / "codes.tif"
    codes = codes_of(height, width, seed=seed)
    write(path, codes, (size, size))
    assert cog_validate(path, strict=True)[0]
    with rasterio.open(path) as raster:
        np.testing.assert_array_equal(raster.read(1), codes)


def test_a_picture_without_georeference_stays_without(tmp_path):
    path = write(tmp_path / "codes.tif", codes_of(300, 300), crs=None, transform=None)
    with rasterio.open(path) as raster:
        assert raster.crs is None
        assert raster.transform == Affine.identity()
    assert cog_validate(path, strict=True)[0]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_how_what_is_made_is_packed_meanwhile_changes_no_byte(tmp_path, height, width):
    """GDAL left to itself, from a deflated file, writes the same; in tiles that reach over the edge too."""
    codes, legend = codes_of(height, width), class_legend()
    path = write(tmp_path / "codes.tif", codes)
    plain, copied = tmp_path / "plain.tif", tmp_path / "copied.tif"
    shape = {"height": height, "width": width, "count": 1, "dtype": "uint8", "nodata": IGNORE}
    with rasterio.open(plain, "w", **plain_profile(**shape, **PLACE)) as raster:
        explain(raster, legend)
        raster.write(codes, 1)
    copy_cog(plain, copied)
    assert path.read_bytes() == copied.read_bytes()


def test_a_raster_without_any_class_is_written_too(tmp_path):
    path = write(tmp_path / "codes.tif", np.full((300, 300), IGNORE, np.uint8))
    with rasterio.open(path) as raster:
        assert (raster.read(1) == IGNORE).all()
        assert "STATISTICS_MEAN" not in raster.tags(1)


def test_numbers_have_averages_in_their_overviews(tmp_path):
    values = np.arange(600 * 600).reshape(600, 600) % 200
    with new_cog(
        tmp_path / "n.tif", height=600, width=600, **PLACE, count=2, dtype="uint8", nodata=255,
        resampling="AVERAGE",
    ) as raster:  # fmt: skip
        raster.write(np.stack([values, np.full_like(values, 255)]).astype(np.uint8))
    assert cog_validate(tmp_path / "n.tif", strict=True)[0]
    with rasterio.open(tmp_path / "n.tif", overview_level=0) as raster:
        small, none = raster.read()
    means = values.reshape(300, 2, 300, 2).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.5
    assert (none == 255).all()


def test_failed_raster_leaves_nothing(tmp_path):
    def pieces():
        yield Window(0, 0, 10, 5), np.zeros((5, 10), np.uint8)
        raise ValueError("decoding failed")

    with pytest.raises(ValueError, match="decoding failed"):
        write_codes(
            tmp_path / "a.tif", pieces(), class_legend(), height=10, width=10, crs=None, transform=None
        )
    assert list(tmp_path.iterdir()) == []


def test_colours_of_statuses_are_told_apart():
    colours = [status.colour for status in PixelStatus]
    assert min(np.abs(np.subtract(a, b)).sum() for a, b in pairwise(sorted(colours))) > 60
