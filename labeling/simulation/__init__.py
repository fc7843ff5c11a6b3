"""Scenes with known truth, as pictures and as products."""
