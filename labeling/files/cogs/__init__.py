"""Rasters as users open them: cloud-optimized GeoTIFFs, and names and colours of their codes beside them."""
