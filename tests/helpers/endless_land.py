"""Land in a database with a layer that is a view without end."""

import sqlite3

import numpy as np
import pyogrio
import shapely


def write_land(path, shapes, layer="land"):
    """Write polygons in longitude and latitude."""
    shapes = np.array([shapely.to_wkb(shape) for shape in shapes], object)
    pyogrio.raw.write(path, shapes, [], [], geometry_type="Polygon", crs="EPSG:4326", layer=layer)
    return path


def write_endless_land(path):
    """Write the layer `land`, a square, and the layer `endless`, which repeats it."""
    write_land(path, [shapely.box(0, 0, 1, 1)])
    numbers = "with recursive r(n) as (select 1 union all select n + 1 from r)"
    with sqlite3.connect(path) as database:
        database.execute(
            f"create view endless as {numbers} select n as fid, (select geom from land) as geom from r"
        )
        for table in ("gpkg_contents", "gpkg_geometry_columns"):
            columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
            chosen = ["'endless'" if name in ("table_name", "identifier") else name for name in columns]
            rows = f"select {', '.join(chosen)} from {table} where table_name = 'land'"
            database.execute(f"insert into {table} {rows}")
    database.close()
    return path
