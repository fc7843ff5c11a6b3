"""Where bytes lie: paths here and in buckets, rasters, atomic writes, locks, the layout of a run folder."""
