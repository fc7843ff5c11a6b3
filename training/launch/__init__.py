"""Ranks of this machine: what they are told, where they meet, and how they end."""
