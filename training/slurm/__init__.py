"""Ranks on the nodes of a Slurm allocation: what is looked at before, where they meet, and how they end."""
