"""Writes products in SAFE format, from a few pixels to a whole granule."""
