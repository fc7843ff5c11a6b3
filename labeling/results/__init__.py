"""What is written for a scene: class raster, quicklook, STAC item, completion mark."""
