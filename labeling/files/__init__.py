"""Where bytes lie: paths here and in buckets, rasters, atomic writes, the layout of a run folder."""
