"""Floes and leads of one map: found, measured on the ground, and counted by size."""
