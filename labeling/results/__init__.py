"""What is written for a scene: class raster, status, quicklook, STAC item, completion mark."""
