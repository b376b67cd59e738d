"""Population rasters such as WorldPop or GHS-POP: pixels into cells, total kept.

Only the window around the study area is read, in strips. A pixel is cut into parts of a
sixteenth of a cell or less, and each part is counted where its middle lies: areal
weighting by a lattice, so a pixel on a border is shared. ``nodata`` and nan are nothing;
a negative value that is not declared as nodata stops the load. Caveat: a raster of
people per km² is no count and would be added up wrongly; only counts per pixel are meant.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pyproj import CRS, Transformer

from geo.cells import Cells, resolutions, rollup
from geo.errors import InputError
from geo.exposure import Spread, of_points, subpixels

_ROWS_POINTS = 4_000_000  # parts of pixels looked at together, to bound memory


def grounds_km2(path: Path, box: tuple[float, float, float, float] | None) -> tuple[float, float]:
    """Ground of one pixel and of all, km², judged in the middle of a box of degrees (or of the raster)."""
    import rasterio

    with _opened(path) as raster:
        crs = CRS.from_user_input(raster.crs)
        to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        if box is None:
            window = rasterio.windows.Window(0, 0, raster.width, raster.height)
        else:
            window = _window(raster, crs, box, path)
        row = window.row_off + window.height / 2
        column = window.col_off + window.width / 2
        x, y = _place(raster, np.array([column, column + 1, column]), np.array([row, row, row + 1]))
        lon, lat = to_degrees.transform(x, y)
    east = (lon[1] - lon[0]) * 111.32 * np.cos(np.radians(lat[0])), (lat[1] - lat[0]) * 110.57
    south = (lon[2] - lon[0]) * 111.32 * np.cos(np.radians(lat[0])), (lat[2] - lat[0]) * 110.57
    own = float(abs(east[0] * south[1] - east[1] * south[0]))
    return own, own * float(window.width * window.height)


def of_raster(
    path: Path,
    resolution: int,
    within: Cells | None,
    box: tuple[float, float, float, float] | None,
    own_km2: float,
    tell: Callable[[float, int], None],
) -> tuple[Spread, list[str]]:
    """Counts of a raster's first band by cell.

    Parameters
    ----------
    box : west, south, east, north in degrees around the cells; None reads everything.
    own_km2 : ground of a pixel, from ``grounds_km2``.

    Returns
    -------
    The counts by cell; ``read`` and ``lost`` are of the window that was read. Then notes.

    Raises
    ------
    InputError : no reference system, no pixel near the area, or a negative value.
    """
    import rasterio

    with _opened(path) as raster:
        crs = CRS.from_user_input(raster.crs)
        notes = [f"Raster of {raster.width:,} × {raster.height:,} pixels, about {own_km2:.4g} km² each."]
        if raster.count > 1:
            notes.append(f"It has {raster.count} bands: the first was read.")
        whole = rasterio.windows.Window(0, 0, raster.width, raster.height)
        window = whole if box is None else _window(raster, crs, box, path)
        to_degrees = None if crs.equals(CRS.from_epsg(4326), ignore_axis_order=True) else crs
        project = Transformer.from_crs(to_degrees, "EPSG:4326", always_xy=True) if to_degrees else None
        cuts = subpixels(own_km2, resolution)
        offsets = (np.arange(cuts) + 0.5) / cuts
        step = max(1, _ROWS_POINTS // max(1, int(window.width) * cuts**2))
        parts: list[Spread] = []
        for begin in range(0, int(window.height), step):
            strip = rasterio.windows.Window(
                window.col_off, window.row_off + begin, window.width, min(step, window.height - begin)
            )
            band = raster.read(1, window=strip, masked=True)
            values = np.ma.filled(band.astype(np.float64), np.nan)
            if (values < 0).any():
                row, column = (int(i[0]) for i in np.nonzero(values < 0))
                raise InputError(
                    f"{path.name}, pixel in row {int(strip.row_off) + row + 1}, column "
                    f"{int(strip.col_off) + column + 1}: {values[row, column]:g} is negative. If it stands "
                    "for 'no data', the raster must say so (gdal_translate -a_nodata)."
                )
            rows, columns = np.nonzero(values > 0)
            amounts = values[rows, columns] / cuts**2
            row_parts = (rows[:, None, None] + offsets[None, :, None] + strip.row_off) + np.zeros(
                (1, 1, cuts)
            )
            column_parts = (columns[:, None, None] + offsets[None, None, :] + strip.col_off) + np.zeros(
                (1, cuts, 1)
            )
            x, y = _place(raster, column_parts.ravel(), row_parts.ravel())
            lon, lat = project.transform(x, y) if project is not None else (x, y)
            parts.append(of_points(lon, lat, np.repeat(amounts, cuts**2), resolution, within))
            tell((begin + step) / window.height, int(strip.width * strip.height))
    return _together(parts), notes


def _together(parts: list[Spread]) -> Spread:
    if not parts:
        return Spread(np.zeros(0, dtype=np.int64), np.zeros(0), 0.0, 0.0)
    cells: npt.NDArray[np.int64] = np.concatenate([part.cells for part in parts])
    values = np.concatenate([part.values for part in parts])
    if len(cells):
        cells, values = rollup(cells, values, int(resolutions(cells[:1])[0]))
    return Spread(cells, values, sum(p.read for p in parts), sum(p.lost for p in parts))


def _opened(path: Path):  # type: ignore[no-untyped-def]  # rasterio has no types
    import rasterio

    try:
        raster = rasterio.open(path)
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"{path.name} cannot be read as a raster ({error}). Fetch it again.") from error
    if raster.crs is None:
        raster.close()
        raise InputError(
            f"{path.name} does not say its coordinate reference system. Set it (gdal_translate -a_srs EPSG:4326 "
            "for degrees) and hand it in again."
        )
    return raster


def _place(raster, column, row):  # type: ignore[no-untyped-def]
    """Coordinates of positions in pixels from the upper left corner, (n,) each."""
    a, b, c, d, e, f = raster.transform[:6]
    return a * column + b * row + c, d * column + e * row + f


def _window(raster, crs: CRS, box: tuple[float, float, float, float], path: Path):  # type: ignore[no-untyped-def]
    """The part of the raster over a box of degrees, whole pixels."""
    import rasterio

    bounds = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform_bounds(*box)
    try:
        asked = rasterio.windows.from_bounds(*bounds, transform=raster.transform)
        asked = asked.round_offsets(op="floor").round_lengths(op="ceil")
        grown = rasterio.windows.Window(
            asked.col_off - 1, asked.row_off - 1, asked.width + 2, asked.height + 2
        )
        return grown.intersection(rasterio.windows.Window(0, 0, raster.width, raster.height))
    except rasterio.errors.WindowError:
        raise InputError(
            f"{path.name} has no pixel near the study area: it reaches from "
            f"({raster.bounds.left:.4g}, {raster.bounds.bottom:.4g}) to ({raster.bounds.right:.4g}, "
            f"{raster.bounds.top:.4g}) in {crs.name}. Check the file, or name another territory."
        ) from None
