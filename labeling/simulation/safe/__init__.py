"""Products in SAFE format, written from a few pixels to a whole granule."""
