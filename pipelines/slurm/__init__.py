"""Spark brought up inside an allocation of Slurm, for one job."""
