"""Chips in: read, turned, scaled, shared out over ranks and stacked into batches."""
