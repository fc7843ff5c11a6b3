"""Jobs of Slurm: batch scripts, and the entry points that they start."""
