"""Clouds on coarse cells: one module a source, and what is kept of them."""
