"""Maps on one grid: sampled block by block on workers, and written as COG and NetCDF."""
