"""Rasters whose bands are named, one with many or one a band, as products."""
