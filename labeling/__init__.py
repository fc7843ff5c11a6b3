"""What ice looks like, on plain arrays and files; here, the words used everywhere: classes, bands, errors."""

__version__ = "0.1.0"
