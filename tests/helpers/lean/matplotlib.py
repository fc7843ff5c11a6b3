"""Stands in front of Matplotlib, which is then not there; see lean_start.py."""

raise ImportError("not in this test")
