"""What ice looks like: filters, labels, scenes and rasters, on plain arrays and files."""

__version__ = "0.1.0"
