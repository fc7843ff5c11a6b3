"""Damaged examples of every kind of foreign file, opened under watch."""
