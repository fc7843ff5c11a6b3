"""Sentinel-2 products in SAFE format, folder or zip, of old and new baselines."""
