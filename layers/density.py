"""A density as an image over the map: classes of reports per km², one colour each.

The raster is turned from its UTM zone into rows of latitude and columns of longitude, with
values between pixel centres by weights, so that the classes have smooth borders; ground
below the lowest class stays bare. Six colours in even steps of lightness
(``layers/palettes.py``), so order is read by lightness alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geo.density import Density
from geo.errors import InputError
from layers.cellmap import ImageLayer, grey_png, image
from layers.palettes import DEFAULT, Shade, sequential

Box = tuple[tuple[float, float], tuple[float, float]]

LONGEST = 1024  # pixels along the longer side


def density_layer(
    found: Density,
    levels: Sequence[float],
    title: str,
    label: Callable[[float], str],
    palette: str = DEFAULT,
    longest: int = LONGEST,
) -> ImageLayer:
    """The image of a density.

    Parameters
    ----------
    levels : rising limits in reports per km², at most seven; the last is the greatest value.
    title : of the legend, with the unit.
    label : a limit as the legend writes it.
    """
    classes, bounds = density_classes(found, levels, longest)
    shades = sequential(max(len(levels) - 1, 1), palette)
    legend = [(label(low), shade.light, shade.dark) for low, shade in zip(levels[:-1], shades, strict=False)]
    return image(title, classes, bounds, legend)


def density_classes(
    found: Density, levels: Sequence[float], longest: int = LONGEST
) -> tuple[npt.NDArray[np.uint8], Box]:
    """Class of each pixel, 0 for below the lowest limit or outside, and the outer edges.

    Returns
    -------
    classes : (rows, columns) uint8, first row in the north, even in degrees.
    bounds : ((south, west), (north, east)).
    """
    west, south, east, north = _extent(found)
    middle = np.cos(np.radians((south + north) / 2))
    across, up = (east - west) * middle, north - south
    # Finer than the raster's own pixels up to the limit: the classes' borders get smooth.
    side = max(across, up) / min(longest, 4 * max(found.values.shape))
    rows, columns = max(1, round(up / side)), max(1, round(across / side))
    lat = north - (np.arange(rows) + 0.5) * (north - south) / rows
    lon = west + (np.arange(columns) + 0.5) * (east - west) / columns
    values = found.at(np.tile(lon, rows), np.repeat(lat, columns)).reshape(rows, columns)
    classes = np.digitize(np.nan_to_num(values), levels[:-1]).astype(np.uint8)
    return classes, ((south, west), (north, east))


def _extent(found: Density) -> tuple[float, float, float, float]:
    """West, south, east, north of the frame, degrees."""
    frame = found.frame
    rows, columns = frame.shape
    along = np.linspace(0, 1, 17)
    x = frame.west + columns * frame.cell_m * along
    y = frame.north - rows * frame.cell_m * along
    east = np.concatenate([x, x, np.full(17, x[0]), np.full(17, x[-1])])
    north = np.concatenate([np.full(17, y[0]), np.full(17, y[-1]), y, y])
    lon, lat = frame.plane.degrees(east, north)
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


def write_png(found: Density | None, levels: Sequence[float], path: Path, palette: str = DEFAULT) -> None:
    """Write the classes as a coloured PNG, with a world file (EPSG:4326) beside it.

    Raises
    ------
    InputError : there is no density, or the file cannot be written.
    """
    if found is None or not levels:
        raise InputError("No report fits: there is no density to draw. Choose other filters.")
    classes, ((south, west), (north, east)) = density_classes(found, levels)
    shades = sequential(max(len(levels) - 1, 1), palette)
    rows, columns = classes.shape
    across, down = (east - west) / columns, (north - south) / rows
    # Size of a pixel, no rotation, middle of the first pixel.
    world = (across, 0.0, 0.0, -down, west + across / 2, north - down / 2)
    try:
        path.write_bytes(coloured_png(classes, shades))
        path.with_suffix(".pgw").write_text("\n".join(f"{value:.12g}" for value in world) + "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another place.") from error


def coloured_png(classes: npt.NDArray[np.uint8], shades: Sequence[Shade]) -> bytes:
    """A PNG of classes in their colours on a light ground; class 0 is transparent."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    grey = grey_png(classes)
    # The same image data, read as places in a palette: colour type 3 instead of 0 (W3C PNG, 3rd ed.).
    header = grey[16:25] + b"\x03" + grey[26:29]
    colours = bytes(3) + b"".join(bytes.fromhex(shade.light[1:7]) for shade in shades)
    tables = chunk(b"PLTE", colours) + chunk(b"tRNS", b"\x00")
    return grey[:8] + chunk(b"IHDR", header) + tables + grey[33:]
