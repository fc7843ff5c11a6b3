"""What every scene and product promises, and what all readers share: renderings, grids, sound files."""
